import type { Command } from "commander";

export function registerTranslate(_program: Command): void {}
