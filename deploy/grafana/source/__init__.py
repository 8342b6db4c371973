"""The dashboards as data, and how they become Grafana's JSON: `make dashboards`."""
