import { z } from "zod";
import { natConfigSchema } from "./schema.js";

/** What napt uses of JSON Schema, draft 2020-12. */
export interface JsonSchema {
  $schema?: string;
  title?: string;
  description?: string;
  type?: "object" | "array" | "string" | "number" | "integer" | "boolean";
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: boolean;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  enum?: string[];
  pattern?: string;
  default?: unknown;
  minItems?: number;
  maxItems?: number;
  minimum?: number;
  maximum?: number;
}

/**
 * The JSON Schema of a config as people write it, for editors and other programs. It can't say how keys must
 * fit together (see `parseConfig`), so it accepts a little more than napt does.
 */
export function configJsonSchema(): JsonSchema {
  const { $schema, ...schema } = z.toJSONSchema(natConfigSchema, { io: "input" }) as JsonSchema;
  return {
    $schema: $schema ?? "https://json-schema.org/draft/2020-12/schema",
    title: "napt config",
    description:
      "A network address translator: who is inside, which public addresses it has, how it behaves.",
    ...schema,
  };
}
