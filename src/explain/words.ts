// An explanation for people, and for programs.
import type { ExplainedSession, Explanation } from "./explanation.js";
import { type FieldChange, packetInWords } from "./fields.js";
import { endpointText } from "./rules.js";

/** An explanation as JSON has it: packets in hex. */
export type ToldExplanation = Omit<Explanation, "packet" | "emits"> & {
  /** The packet as it came. */
  readonly asked: string;
  readonly packet: string;
  readonly emits: readonly (Omit<Explanation["emits"][number], "packet"> & { readonly packet: string })[];
};

const hexOf = (packet: Uint8Array) => Buffer.from(packet).toString("hex");
const bytesOf = (hex: string) => Buffer.from(hex, "hex");

/** An explanation of `asked` that goes into JSON. */
export function told(asked: Uint8Array, { packet, emits, ...rest }: Explanation): ToldExplanation {
  return {
    ...rest,
    asked: hexOf(asked),
    packet: hexOf(packet),
    emits: emits.map((one) => ({ ...one, packet: hexOf(one.packet) })),
  };
}

/** An explanation in plain words, some lines. What is wrong, and what to change, comes first. */
export function explanationInWords(explanation: ToldExplanation): string {
  const { verdict, direction, reason, why, rules, sessions, owner, fields, emits } = explanation;
  const asked = packetInWords(bytesOf(explanation.asked));
  const lines: [label: string, text: string][] = [];
  const way = direction === "none" ? "" : `, ${direction}`;
  if (why !== null) {
    lines.push(["dropped", `${reason}${way}: ${why.meaning}`]);
    lines.push(["change", why.key === null ? why.advice : `${why.key}: ${why.advice}`]);
    lines.push(["packet", asked]);
  } else {
    lines.push([verdict, `${asked}${way}`]);
    if (explanation.packet !== explanation.asked) {
      lines.push(["as", packetInWords(bytesOf(explanation.packet))]);
    } else if (verdict === "held") {
      lines.push([
        "",
        emits.length > 0 ? "it goes in other packets" : "until the first fragment of its packet comes",
      ]);
    }
  }
  for (const { key, value } of rules) lines.push(["by", `${key}: ${value}`]);
  for (const session of sessions) lines.push(...sessionLines(session));
  if (owner !== null && (reason !== null || sessions.length === 0)) {
    lines.push(["binding", `${endpointText(owner.public)} is ${endpointText(owner.inside)}'s`]);
  }
  for (const { kind, side, packet } of emits) {
    if (kind !== "discarded") lines.push(["sends", `${packetInWords(bytesOf(packet))}, ${side}`]);
  }
  return [
    ...lines.map(([label, text]) => `${label.padEnd(LABEL)}${text}`),
    ...fieldLines(fields, why === null),
  ].join("\n");
}

const LABEL = 10;

/** Seconds as people want them. */
const tenths = (seconds: number) => Math.round(seconds * 10) / 10;

function sessionLines({
  protocol,
  inside,
  public: outside,
  remote,
  isNew,
  drawn,
  state,
  expiresIn,
}: ExplainedSession): [string, string][] {
  const phase = state.after === null || state.before === state.after ? state.after : phases(state);
  const ends =
    expiresIn.before === null || expiresIn.before === expiresIn.after
      ? `ends in ${tenths(expiresIn.after)} s`
      : `ends in ${tenths(expiresIn.after)} s, without it in ${tenths(expiresIn.before)} s`;
  const flow = `${protocol} ${endpointText(inside)} > ${endpointText(remote)} as ${endpointText(outside)}`;
  const lines: [string, string][] = [
    ["session", `${isNew ? "new: " : ""}${flow}${phase === null ? "" : `, ${phase}`}, ${ends}`],
  ];
  if (drawn !== null) {
    const how = drawn.order === "random" ? "at random" : "in order";
    lines.push([
      "",
      `${endpointText(outside)} is drawn ${how} from ${drawn.ports}, unless another binding is made first`,
    ]);
  }
  return lines;
}

const phases = ({ before, after }: ExplainedSession["state"]) =>
  before === null ? after : `${before}, then ${after}`;

/** Of a packet that is translated all fields; what stays comes last, in one line. */
function fieldLines(fields: readonly FieldChange[], goesOn: boolean): string[] {
  const changed = fields.filter(({ before, after }) => before !== after);
  if (!goesOn || changed.length === 0) return [];
  const same = fields.filter(({ before, after }) => before === after);
  const width = Math.max(...changed.map(({ name }) => name.length), 0);
  const indent = (number: number, label: string) => (number === 0 ? label : "").padEnd(LABEL);
  return [
    ...changed.map(
      ({ name, before, after }, number) =>
        `${indent(number, "changes")}${name.padEnd(width)}  ${before} > ${after}`,
    ),
    ...(same.length > 0
      ? [`${indent(0, "keeps")}${same.map(({ name, before }) => `${name} ${before}`).join(", ")}`]
      : []),
  ];
}
