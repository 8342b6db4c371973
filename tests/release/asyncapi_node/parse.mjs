// Prints a line for each file of the arguments: a JSON list of what AsyncAPI's parser has to say, with its severity.
import { readFileSync } from "node:fs";
import parser from "@asyncapi/parser";

for (const file of process.argv.slice(2)) {
  const found = await new parser.Parser().validate(readFileSync(file, "utf8"), { source: file });
  console.log(JSON.stringify(found.map(({ severity, code, message, path }) => ({ severity, code, message, path }))));
}
