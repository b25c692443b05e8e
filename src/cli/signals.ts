// Being asked to end by a signal.

/** Within so many ms a second signal is the first one's: timeout(1) sends its own to the process and to its group. */
const ONE_REQUEST = 1000;

/**
 * Calls `end` when a signal asks to end, once. Who asks again later than that ends the process at once.
 * @returns what stops listening
 */
export function onEndSignal(
  end: (signal: NodeJS.Signals) => void,
  signals: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM"],
): () => void {
  let asked: number | null = null;
  const hear = (signal: NodeJS.Signals) => {
    if (asked === null) {
      asked = performance.now();
      // Left to itself, a process stops listening before it is gone.
      process.once("beforeExit", () => process.exit());
      end(signal);
    } else if (performance.now() - asked > ONE_REQUEST) {
      stop();
      process.kill(process.pid, signal);
    }
  };
  const stop = () => {
    for (const signal of signals) process.off(signal, hear);
  };
  for (const signal of signals) process.on(signal, hear);
  return stop;
}
