// The system's clocks.

/** Ms of the monotonic clock: a NAT's, unless it is given another. */
export const monotonicNow = (): number => performance.now();

/** Two clocks that are looked at within so many ms are looked at at once. */
const AT_ONCE = 0.2;

/** Ms to add to the monotonic clock's for those since 1970. Not kept for long: the system's time may be set. */
export const wallOffset = (): number => offsetTo(Date.now);

/** Ms to add to the monotonic clock's for those of the kernel's CLOCK_MONOTONIC, by which the native threads go. */
export const systemOffset = (): number => offsetTo(() => Number(process.hrtime.bigint()) / 1e6);

/** Ms to add to the monotonic clock's for another's. */
function offsetTo(other: () => number): number {
  let offset = 0;
  let least = Number.POSITIVE_INFINITY;
  // Something else may run between the looks at both.
  for (let tries = 0; tries < 10 && least > AT_ONCE; tries++) {
    const before = performance.now();
    const there = other();
    const apart = performance.now() - before;
    if (apart >= least) continue;
    least = apart;
    offset = there - before - apart / 2;
  }
  return offset;
}
