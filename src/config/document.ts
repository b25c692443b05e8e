// A config's text, JSON or YAML, as a value that knows which line each key came from. JSON is YAML too (1.2),
// so one parser reads both and keeps positions.
import { type Document, isAlias, isMap, isNode, isSeq, LineCounter } from "yaml";
import { ConfigError } from "../errors.js";
import { parseYaml, SyntaxFault } from "./yaml.js";

/** Where a config came from, for its messages. */
export interface ConfigSource {
  readonly name: string;
  /** The line, from 1, of the key that a path leads to, or of what is nearest to it; null when unknown. */
  lineOf(path: readonly PropertyKey[]): number | null;
}

/** A config as it was read, not checked yet. */
export interface LoadedConfig {
  readonly value: unknown;
  readonly source: ConfigSource;
}

// A config has little to repeat: beyond this many resolved aliases it is an attack ("billion laughs").
const MOST_ALIASES = 1000;

/**
 * Reads JSON or YAML.
 * @param name where it came from, for messages
 * @throws ConfigError when it is neither, with line and column
 */
export function parseConfigText(bytes: Uint8Array, name: string): LoadedConfig {
  const text = decode(bytes);
  if (text === null) throw unreadable(name, "not a text file; give JSON or YAML in UTF-8");
  const lines = new LineCounter();
  const document = treeOf(text, lines, name);
  const lineOf = (path: readonly PropertyKey[]) => {
    const offset = offsetOf(document, path);
    return offset === null ? null : lines.linePos(offset).line;
  };
  return { value: plainValue(document, name), source: { name, lineOf } };
}

function treeOf(text: string, lines: LineCounter, name: string): Document {
  try {
    return parseYaml(text, lines);
  } catch (error) {
    if (!(error instanceof SyntaxFault)) throw error;
    const { line, col } = lines.linePos(error.offset);
    throw unreadable(name, `line ${line}, column ${col}: ${error.message}`);
  }
}

function plainValue(document: Document, name: string): unknown {
  if (document.contents === null) throw unreadable(name, 'empty; a config needs "inside" and "outside"');
  try {
    return document.toJS({ maxAliasCount: MOST_ALIASES });
  } catch (error) {
    // an alias before its anchor, too many aliases, or a merge key (YAML 1.1) of what is no map
    throw unreadable(name, (error as Error).message);
  }
}

function unreadable(name: string, message: string): ConfigError {
  return new ConfigError([{ path: "", message }], name);
}

/** The text, or null when the bytes are none. */
function decode(bytes: Uint8Array): string | null {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return text.includes("\0") ? null : text;
  } catch {
    return null;
  }
}

/** Where the last key on the path that the document has begins. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number | null {
  let mark: unknown = document.contents;
  let node = mark;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    const [key, value] = childOf(node, step);
    if (!isNode(key)) break;
    [mark, node] = [key, value];
  }
  return isNode(mark) ? (mark.range?.[0] ?? null) : null;
}

/** What marks the place of a child (its key, or itself in a list), and the child. */
function childOf(node: unknown, step: PropertyKey): [unknown, unknown] | [] {
  if (isMap(node)) {
    const pair = node.items.find(({ key }) => String(key) === String(step));
    return pair ? [pair.key, pair.value] : [];
  }
  if (isSeq(node) && typeof step === "number") return [node.items[step], node.items[step]];
  return [];
}
