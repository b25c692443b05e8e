// YAML text, and so JSON, as the syntax tree of its one document.
import { Composer, type Document, Lexer, type LineCounter, Parser } from "yaml";

/** Text that can't be read: why, and where it begins to be wrong. */
export class SyntaxFault extends Error {
  readonly offset: number;

  constructor(offset: number, message: string) {
    super(message);
    this.offset = offset;
  }
}

/** A config nests four deep. The composer works by recursion: unbounded, a hostile text ends the process. */
const DEEPEST = 100;

/**
 * Reads a text that holds one document.
 * @param lines learns where the lines begin
 * @throws SyntaxFault for the first fault in the text
 */
export function parseYaml(text: string, lines: LineCounter): Document {
  const composer = new Composer({ prettyErrors: false, logLevel: "error" });
  // "true": a text without any document gives an empty one
  const [document, second] = composer.compose(tokens(text, lines), true, text.length);
  // A warning is about something that would be read otherwise than written, such as an unknown !tag.
  const [fault] = [...document!.errors, ...document!.warnings];
  if (fault) throw new SyntaxFault(fault.pos[0], fault.message);
  if (second) throw new SyntaxFault(second.range[0], "a second document begins; give one config");
  return document!;
}

/** The text's tokens, each a tree of its own, as long as they don't nest too deeply. */
function* tokens(text: string, lines: LineCounter) {
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  let offset = 0;
  for (const lexeme of new Lexer().lex(text)) {
    yield* parser.next(lexeme);
    if (parser.stack.length > DEEPEST) throw new SyntaxFault(offset, "nested too deeply");
    offset = parser.offset;
  }
  yield* parser.end();
}
