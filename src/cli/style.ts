// Colours and bold, where a terminal shows them.
import type { WriteStream } from "node:tty";
import { styleText } from "node:util";

/** Puts text in a style; where there is none to be had, text stays as it is. */
export type Paint = (
  style: "bold" | "dim" | "inverse" | "red" | "yellow" | "green" | "cyan",
  text: string,
) => string;

export const plain: Paint = (_style, text) => text;

/** Whether what is written there may be coloured: on a terminal that can, and nobody has said NO_COLOR. */
export function isColored(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && (stream as WriteStream).hasColors() && !process.env.NO_COLOR;
}

/** Paints what is written to a stream. */
export function paintFor(stream: NodeJS.WriteStream): Paint {
  return isColored(stream)
    ? (style, text) => (text === "" ? "" : styleText(style, text, { validateStream: false }))
    : plain;
}
