// A shard: one translator in a thread of its own. It never returns to the event loop: between batches it looks for
// questions, and sleeps when there is neither.
import { receiveMessageOnPort, workerData } from "node:worker_threads";
import { Conntrack, checkTime } from "../conntrack.js";
import { ExplicitMappings } from "../explicit-mappings.js";
import { guarded, LAYOUT, type NativeBatch, native } from "../native.js";
import type { Question, ShardSetup, Word } from "./messages.js";
import { Ring } from "./ring.js";

const ROWS = 512;

function run({ config, seed, buffer, shape, port }: ShardSetup): void {
  const say = (word: Word) => port.postMessage(word);
  const engine = guarded(() => new native.Engine(config, seed));
  const clock = () => {
    throw new TypeError("internal: a shard has no clock; give a time");
  };
  const conntrack = new Conntrack(engine, clock);
  const mappings = new ExplicitMappings(() => engine, clock);
  const rings = Array.from({ length: shape.rings }, (_, index) => new Ring(buffer, shape, index));
  const { bell } = rings[0]!;
  const known = new Map<Ring, NativeBatch[]>(
    rings.map((ring) => [ring, ring.batches.map(({ memory, slots }) => engine.createBatch(memory, slots))]),
  );
  const rows = new Float64Array(LAYOUT.sessionFields * ROWS);

  const answer = (question: Question): unknown => {
    switch (question.ask) {
      case "stats": {
        const counters = new Float64Array(LAYOUT.counters);
        engine.readStats(counters);
        return counters;
      }
      case "size":
        return conntrack.size;
      case "read": {
        const [filled, next] = engine.read(question.with[0], rows);
        return [rows.slice(0, filled * LAYOUT.sessionFields), next];
      }
      case "find":
        return conntrack.find(...question.with);
      case "delete":
        return conntrack.delete(...question.with);
      case "at":
        return conntrack.at(...question.with);
      case "sweep":
        return conntrack.sweep(...question.with);
      case "flush":
        return engine.flush();
      case "recordEvents":
        return engine.recordEvents(...question.with);
      case "takeEvents": {
        const filled = engine.takeEvents(rows);
        return [rows.slice(0, filled * LAYOUT.sessionFields), filled === ROWS, engine.eventsLost()];
      }
      case "reconfigure":
        return guarded(() => engine.reconfigure(...question.with));
      case "request":
        return mappings.request(...question.with);
      case "keep":
        return mappings.keep(...question.with);
      case "findMapping":
        return mappings.find(...question.with);
      case "release":
        return mappings.release(...question.with);
      case "publicAddressOf":
        return mappings.publicAddressOf(...question.with);
    }
  };
  /** What the engine puts out is said before whatever brought it out is told to be done. */
  const tellEmitted = () => {
    if (engine.pending() > 0) say({ kind: "emitted", packets: engine.take() });
  };
  const hear = (question: Question) => {
    const { id } = question;
    try {
      const value = answer(question);
      tellEmitted();
      say({ kind: "answer", id, value });
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      say({ kind: "refusal", id, code, message });
    }
  };
  /** Translates the oldest batch of a ring. */
  const serve = (ring: Ring): boolean => {
    const index = ring.next();
    if (index < 0) return false;
    const now = ring.timeOf(index);
    let hasFailed = false;
    try {
      checkTime(now);
    } catch {
      hasFailed = true; // whoever submitted it is told
    }
    if (!hasFailed && engine.translateBatch(known.get(ring)![index]!.number, now) > 0) tellEmitted();
    ring.complete(hasFailed);
    return true;
  };

  say({ kind: "ready" });
  let heardMessages = 0;
  while (bell.isRunning) {
    const heard = bell.heard;
    let busy = false;
    for (const ring of rings) busy = serve(ring) || busy;
    for (
      const announced = bell.messages;
      heardMessages !== announced;
      heardMessages = (heardMessages + 1) | 0
    ) {
      const received = receiveMessageOnPort(port);
      if (received === undefined) break;
      hear(received.message as Question);
      busy = true;
    }
    if (!busy) bell.sleep(heard);
  }
  engine.close();
  port.close();
}

run(workerData as ShardSetup);
