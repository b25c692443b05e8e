export {
  ConfigError,
  Conntrack,
  DESCRIPTOR,
  DESCRIPTOR_WORDS,
  DIRECTIONS,
  Nat,
  NatError,
  PARTIAL_CHECKSUM,
  PacketBatch,
  REASONS,
  VERDICTS,
} from "./dist/index.js";
