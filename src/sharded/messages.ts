// What a ShardedNat and its workers say to each other, besides packets.
import type { MessagePort } from "node:worker_threads";
import type { SessionKey } from "../conntrack.js";
import type { InsideEndpoint, KeepRequest, MappingRequest } from "../explicit-mappings.js";
import type { CompiledConfig, NativePacket } from "../native.js";
import type { RingShape } from "./ring.js";

/** What a worker begins with. */
export interface ShardSetup {
  readonly config: CompiledConfig;
  readonly seed: BigUint64Array;
  readonly buffer: SharedArrayBuffer;
  readonly shape: RingShape;
  readonly port: MessagePort;
}

/** What a worker can be asked, by name, and with what. Answers are what can be cloned. */
export interface Questions {
  stats: [];
  size: [];
  read: [from: number];
  find: [key: SessionKey];
  delete: [key: SessionKey];
  at: [slot: number];
  sweep: [now: number, budget: number];
  flush: [];
  recordEvents: [mask: number];
  takeEvents: [];
  reconfigure: [config: CompiledConfig];
  request: [request: MappingRequest, now: number];
  keep: [request: KeepRequest, now: number];
  findMapping: [endpoint: InsideEndpoint];
  release: [endpoint: InsideEndpoint];
  publicAddressOf: [inside: string];
}

export type Question = {
  [Name in keyof Questions]: { id: number; ask: Name; with: Questions[Name] };
}[keyof Questions];

/** From a worker. */
export type Word =
  | { kind: "ready" }
  | { kind: "answer"; id: number; value: unknown }
  | { kind: "refusal"; id: number; code: string | undefined; message: string }
  | { kind: "emitted"; packets: NativePacket[] };
