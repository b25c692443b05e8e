// From what the schema library reports to faults that people can act on.
import type { z } from "zod";
import { configJsonSchema, type JsonSchema } from "./json-schema.js";
import { closest } from "./wording.js";

/** Something wrong in a config: the keys that lead there, and what would be right. */
export interface Fault {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** The faults behind an issue; a list, as one issue may be about several unknown keys. */
export function* faultsOf(
  issue: z.core.$ZodIssue,
  at: readonly PropertyKey[] = [],
  schema: () => JsonSchema = natSchema,
): Iterable<Fault> {
  const path = [...at, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(path, schema());
    for (const key of issue.keys) yield { path: [...path, key], message: unknownKey(key, known) };
  } else if (issue.code === "invalid_union") {
    // Of the alternatives, the one that had the right type is what was meant; its faults say more.
    const meant = issue.errors.find(([first]) => first?.code !== "invalid_type" || first.path.length > 0);
    if (meant === undefined) yield { path, message: issue.message };
    else for (const inner of meant) yield* faultsOf(inner, path, schema);
  } else {
    yield { path, message: issue.message };
  }
}

function unknownKey(key: string, known: readonly string[]): string {
  const near = closest(key, known);
  return near === null ? `unknown key; known are ${known.join(", ")}` : `unknown key; did you mean ${near}?`;
}

let made: JsonSchema | undefined; // at the first unknown key, as most configs have none

function natSchema(): JsonSchema {
  made ??= configJsonSchema();
  return made;
}

/** The keys that the object at `path` can have. */
function knownKeys(path: readonly PropertyKey[], schema: JsonSchema): string[] {
  let node: JsonSchema | undefined = schema;
  for (const step of path) {
    node = typeof step === "number" ? node?.items : node?.properties?.[String(step)];
    node = node?.anyOf?.find((option) => option.properties) ?? node;
  }
  return Object.keys(node?.properties ?? {});
}
