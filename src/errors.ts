/** The stable codes that a {@link NatError} carries. */
export type NatErrorCode =
  | "NAT_ERR_CONFIG" // a config that the schema or a cross check refuses
  | "NAT_ERR_ARGUMENT" // a call's argument of the wrong type or out of range
  | "NAT_ERR_BATCH" // a batch of another Nat, or memory too small for it
  | "NAT_ERR_CLOSED" // the Nat was closed
  | "NAT_ERR_SNAPSHOT" // a snapshot that is damaged, cut or foreign, or was overtaken by a change of config
  | "NAT_ERR_SHARD" // the worker thread of a shard has died
  | "NAT_ERR_MEMORY" // the system refused the memory that the tables need
  | "NAT_ERR_NATIVE" // the native addon can't be loaded, or is of another version
  | "NAT_ERR_GATEWAY" // an interface that the gateway can't use, or a change that needs a restart
  | "NAT_ERR_CAPTURE" // a capture file that can't be read, or is damaged
  | "NAT_ERR_OUTPUT"; // an output that can't be written

/** Every error that napt throws on purpose: a message for people, a `code` for programs. */
export class NatError extends Error {
  readonly code: NatErrorCode;

  constructor(code: NatErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "NatError";
    this.code = code;
  }
}

/** One fault of a config: where it is (`outside[1].ports`) and what would be right. */
export interface ConfigIssue {
  readonly path: string;
  readonly message: string;
}

/** A config that can't be used; `issues` has every fault found, `message` names them all. */
export class ConfigError extends NatError {
  readonly issues: readonly ConfigIssue[];

  constructor(issues: readonly ConfigIssue[], source = "config") {
    const lines = issues.map((issue) =>
      issue.path === "" ? issue.message : `${issue.path}: ${issue.message}`,
    );
    super("NAT_ERR_CONFIG", `${source}: ${lines.join(`\n${source}: `)}`);
    this.name = "ConfigError";
    this.issues = issues;
  }
}
