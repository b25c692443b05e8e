// The config's keys as a table for people, made from the schema.
import { configJsonSchema, type JsonSchema } from "./json-schema.js";

/** One key of the config. */
export interface ConfigTableRow {
  /** `portAssignment.order`; `[]` stands for each entry of a list: `outside[].ports` */
  readonly key: string;
  readonly type: string;
  /** as JSON; "required" where a value must be given, "none" where nothing stands for it */
  readonly default: string;
  readonly meaning: string;
}

/** Every key that holds a value or a list, or that may be left out with all below it, in the schema's order. */
export function configTable(schema: JsonSchema = configJsonSchema()): ConfigTableRow[] {
  return [...rows(schema, "")];
}

/** The table in Markdown, as docs/config.md has it. */
export function configTableMarkdown(schema?: JsonSchema): string {
  const lines = configTable(schema).map(({ key, type, default: fallback, meaning }) =>
    [
      `\`${key}\``,
      type,
      ["required", "none"].includes(fallback) ? fallback : `\`${fallback}\``,
      meaning,
    ].join(" | "),
  );
  return `${["Key | Type | Default | Meaning", "--- | --- | --- | ---", ...lines].map((line) => `| ${line} |`).join("\n")}\n`;
}

function* rows(schema: JsonSchema, prefix: string): Iterable<ConfigTableRow> {
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const key = prefix + name;
    // What a policy may have is as at the top level.
    if (prefix === "policies[]." && name !== "inside") continue;
    if (property.properties && property.default !== undefined) {
      yield* rows(property, `${key}.`);
      continue;
    }
    const required = schema.required?.includes(name) ?? false;
    const fallback = required ? "required" : (JSON.stringify(property.default) ?? "none");
    yield { key, type: typeName(property), default: fallback, meaning: property.description ?? "" };
    if (property.properties) yield* rows(property, `${key}.`);
    const entry = property.items && objectOf(property.items);
    if (entry) yield* rows(entry, `${key}[].`);
  }
}

function objectOf(schema: JsonSchema): JsonSchema | undefined {
  return schema.properties ? schema : schema.anyOf?.find((option) => option.properties);
}

const isObject = (schema: JsonSchema) => schema.type === "object";

function typeName(schema: JsonSchema): string {
  if (schema.enum) return schema.enum.map((word) => `\`"${word}"\``).join(", ");
  if (schema.anyOf) {
    const [objects, others] = [schema.anyOf.filter(isObject), schema.anyOf.filter((one) => !isObject(one))];
    return [...others, ...objects].map(typeName).join(" or ");
  }
  if (schema.items) return `list of ${typeName(schema.items)}`;
  if (schema.type === "integer") return `integer, ${schema.minimum} to ${schema.maximum}`;
  return schema.type ?? "any";
}
