// The little of DNS (RFC 1035, section 4.1) that a forwarder has to know: headers, and whether an answer is to what
// was asked.

const HEADER = 12;
const RESPONSE = 0x80;
const TRUNCATED = 0x02;
const SERVER_FAILURE = 2;

export const DNS_PORT = 53;

/** Whether bytes may be a query: not an answer, with one question that is whole. */
export function isQuery(bytes: Buffer): boolean {
  return (
    bytes.length > HEADER &&
    (bytes[2]! & RESPONSE) === 0 &&
    bytes.readUInt16BE(4) === 1 &&
    questionEnd(bytes) !== null
  );
}

export function idOf(message: Buffer): number {
  return message.readUInt16BE(0);
}

/** The message with another id. */
export function withId(message: Buffer, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** Whether an answer has the id and the question of a query: nobody who does not see it knows both (RFC 5452). */
export function answersTo(answer: Buffer, query: Buffer): boolean {
  if (answer.length <= HEADER || (answer[2]! & RESPONSE) === 0 || idOf(answer) !== idOf(query)) return false;
  const end = questionEnd(query);
  // Some servers leave the question out where they refuse.
  if (answer.readUInt16BE(4) === 0) return (answer[3]! & 15) !== 0;
  if (end === null || questionEnd(answer) !== end) return false;
  const lower = (message: Buffer) => message.subarray(HEADER, end).toString("latin1").toLowerCase();
  return lower(answer) === lower(query);
}

/** The answer that nobody could be asked. */
export function failure(query: Buffer): Buffer {
  const answer = questionOf(query);
  answer[3] = 0x80 | SERVER_FAILURE;
  return answer;
}

/** An answer as one that is too long to send: the client asks for it by TCP, or goes without. */
export function truncated(answer: Buffer): Buffer {
  const short = questionOf(answer);
  short[2]! |= TRUNCATED;
  short[3] = answer[3]!;
  return short;
}

/** The header and the question, as an answer. */
function questionOf(message: Buffer): Buffer {
  const answer = Buffer.from(message.subarray(0, questionEnd(message) ?? HEADER));
  answer[2]! |= RESPONSE;
  answer.fill(0, 6, HEADER);
  if (answer.length === HEADER) answer.writeUInt16BE(0, 4);
  return answer;
}

/** Where the first question ends; null when it does not. */
function questionEnd(message: Buffer): number | null {
  let at = HEADER;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > 63) return null;
    at += length + 1;
    if (length === 0) break;
  }
  return at + 4 <= message.length ? at + 4 : null;
}
