// The config's keys as a table for people, made from the schema.
import { configJsonSchema, type JsonSchema } from "./json-schema.js";

/** One key of the config. */
export interface ConfigTableRow {
  /** `portAssignment.order`; `[]` stands for each entry of a list: `outside[].ports` */
  readonly key: string;
  readonly type: string;
  /** as JSON; "required" where a value must be given */
  readonly default: string;
  readonly meaning: string;
}

/** Every key that holds a value or a list, in the schema's order. */
export function configTable(): ConfigTableRow[] {
  return [...rows(configJsonSchema(), "")];
}

/** The table in Markdown, as README has it. */
export function configTableMarkdown(): string {
  const lines = configTable().map(({ key, type, default: fallback, meaning }) =>
    [`\`${key}\``, type, fallback === "required" ? fallback : `\`${fallback}\``, meaning].join(" | "),
  );
  return `${["Key | Type | Default | Meaning", "--- | --- | --- | ---", ...lines].map((line) => `| ${line} |`).join("\n")}\n`;
}

function* rows(schema: JsonSchema, prefix: string): Iterable<ConfigTableRow> {
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const key = prefix + name;
    if (property.properties) {
      yield* rows(property, `${key}.`);
      continue;
    }
    const required = schema.required?.includes(name) ?? false;
    const fallback = required ? "required" : JSON.stringify(property.default);
    yield { key, type: typeName(property), default: fallback, meaning: property.description ?? "" };
    const entry = property.items && objectOf(property.items);
    if (entry) yield* rows(entry, `${key}[].`);
  }
}

function objectOf(schema: JsonSchema): JsonSchema | undefined {
  return schema.properties ? schema : schema.anyOf?.find((option) => option.properties);
}

function typeName(schema: JsonSchema): string {
  if (schema.enum) return schema.enum.map((word) => `\`"${word}"\``).join(", ");
  if (schema.anyOf) return schema.anyOf.map(typeName).join(" or ");
  if (schema.items) return `list of ${typeName(schema.items)}`;
  if (schema.type === "integer") return `integer, ${schema.minimum} to ${schema.maximum}`;
  return schema.type ?? "any";
}
