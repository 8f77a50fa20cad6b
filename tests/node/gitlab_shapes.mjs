// Holds answers of the fake GitLab against the schemas that another GitLab client reads real answers with.
// Reads [{schema, place, value}] from stdin, prints {checked, wrong: [{place, problems}]}.
import { readFileSync } from "node:fs";
import * as schemas from "@zereight/mcp-gitlab/build/schemas.js";

const wrong = [];
const answers = JSON.parse(readFileSync(0, "utf8"));
for (const { schema, place, value } of answers) {
  const found = schemas[`GitLab${schema}Schema`];
  if (!found) throw new Error(`there is no schema ${schema}`);
  for (const one of Array.isArray(value) ? value : [value]) {
    const result = found.safeParse(one);
    if (!result.success) {
      wrong.push({ place, problems: result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`) });
    }
  }
}
console.log(JSON.stringify({ checked: answers.length, wrong }));
