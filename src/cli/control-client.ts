// Talks to a running gateway through its control socket.
import { type IncomingMessage, request } from "node:http";
import { InvalidArgumentError, Option } from "commander";
import { NatError } from "../errors.js";
import { DEFAULT_CONTROL } from "../gateway/config.js";

/** The option that all commands have that ask a gateway. */
export function controlOption(): Option {
  const path = new Option("--control <path>", "the gateway's control socket").default(DEFAULT_CONTROL);
  return path.argParser((text: string) => {
    if (text === "") throw new InvalidArgumentError("give the path of a socket");
    return text;
  });
}

export interface Call {
  readonly method?: "GET" | "POST" | "DELETE";
  readonly query?: readonly (readonly [string, string])[];
  readonly body?: unknown;
  /** Ends it. */
  readonly signal?: AbortSignal;
}

/** Asks, and gives the answer as it comes. @throws NatError with what the gateway says */
export async function openAnswer(control: string, path: string, call: Call = {}): Promise<IncomingMessage> {
  const { method = "GET", query = [], body, signal } = call;
  const search = new URLSearchParams(query.map(([key, value]): [string, string] => [key, value])).toString();
  const text = body === undefined ? "" : JSON.stringify(body);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const asking = request(
      {
        socketPath: control,
        method,
        path: search === "" ? path : `${path}?${search}`,
        ...(signal && { signal }),
      },
      resolve,
    );
    asking.on("error", (error: NodeJS.ErrnoException) => reject(unreachable(control, error)));
    asking.end(text);
  });
  const status = response.statusCode ?? 500;
  if (status === 200) return response;
  for await (const line of linesOf(response)) {
    const { error } = JSON.parse(line) as { error?: string };
    // 503: it can't now, but may later.
    const code = status === 503 ? "NAT_ERR_GATEWAY" : "NAT_ERR_ARGUMENT";
    throw new NatError(code, error ?? `status ${status}`);
  }
  throw new NatError("NAT_ERR_GATEWAY", `${control}: status ${status}, and no reason`);
}

/** Asks, and gives the answer's lines one by one, each as JSON. @throws NatError with what the gateway says */
export async function* ask(control: string, path: string, call?: Call): AsyncIterable<unknown> {
  const response = await openAnswer(control, path, call);
  try {
    for await (const line of linesOf(response)) yield JSON.parse(line);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
    throw new NatError("NAT_ERR_GATEWAY", `${control}: the gateway ended before it had answered`);
  } finally {
    response.destroy(); // who asked may have had enough
  }
}

async function* linesOf(response: IncomingMessage): AsyncIterable<string> {
  let rest = "";
  for await (const chunk of response.setEncoding("utf8")) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== "") yield rest;
}

/** Asks what has one answer. */
export async function askOnce<T>(control: string, path: string, call?: Call): Promise<T> {
  for await (const answer of ask(control, path, call)) return answer as T;
  throw new NatError("NAT_ERR_GATEWAY", `${control}: the gateway ended before it answered`);
}

function unreachable(control: string, { code, message }: NodeJS.ErrnoException): NatError {
  const reasons: Record<string, string> = {
    ENOENT: "no gateway runs with this control socket; name another with --control",
    ECONNREFUSED: "the gateway that had this control socket is gone",
    EACCES: "this control socket is another user's: be root, or who runs the gateway",
  };
  return new NatError("NAT_ERR_GATEWAY", `${control}: ${reasons[code ?? ""] ?? message}`);
}
