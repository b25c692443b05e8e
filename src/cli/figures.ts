// Figures for people.

/** "12.3 k": three digits and a prefix of the SI. */
export function short(value: number): string {
  const prefixes = ["", "k", "M", "G", "T"];
  let step = 0;
  let rest = value;
  // From 999.5 on it would be written as 1000.
  while (rest >= 999.5 && step < prefixes.length - 1) {
    rest /= 1000;
    step++;
  }
  const digits = rest >= 99.95 || step === 0 ? rest.toFixed(0) : rest.toPrecision(3);
  return `${digits} ${prefixes[step]}`.trimEnd();
}

/** "1.2 Mbit/s", "17 B" */
export function measure(value: number, unit: string): string {
  const text = short(value);
  return /[a-zA-Z]$/.test(text) ? `${text}${unit}` : `${text} ${unit}`;
}

/** "3 d 4 h", "12 min 5 s": two units. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const units = [
    ["d", Math.floor(whole / 86_400)],
    ["h", Math.floor(whole / 3600) % 24],
    ["min", Math.floor(whole / 60) % 60],
    ["s", whole % 60],
  ] as const;
  const first = units.findIndex(([, count]) => count > 0);
  if (first === -1) return "0 s";
  return units
    .slice(first, first + 2)
    .filter(([, count]) => count > 0)
    .map(([unit, count]) => `${count} ${unit}`)
    .join(" ");
}

/** "1,234,567" */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}
