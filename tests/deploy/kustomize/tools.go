//go:build tools

// Package tools keeps Kustomize in go.mod, in a pinned version: it is what is built here.
package tools

import _ "sigs.k8s.io/kustomize/kustomize/v5"
