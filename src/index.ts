export type { NatConfig, ResolvedNatConfig } from "./config/schema.js";
export type {
  Restored,
  Session,
  SessionEndpoint,
  SessionKey,
  SessionProtocol,
  SnapshotTime,
} from "./conntrack.js";
export { Conntrack } from "./conntrack.js";
export type { GatewayApiOptions } from "./control/api.js";
export { GatewayApi } from "./control/api.js";
export { HttpServer } from "./control/http.js";
export { ControlServer } from "./control/socket.js";
export type { ConfigIssue, NatErrorCode } from "./errors.js";
export { ConfigError, NatError } from "./errors.js";
export type {
  BindingEvent,
  BlockEvent,
  EventSession,
  HostEvent,
  NatEvent,
  NatEventOf,
  NatEventType,
  PoolEvent,
  SessionEvent,
} from "./events/event.js";
export { NAT_EVENTS } from "./events/event.js";
export type { EventOptions, EventStream } from "./events/event-stream.js";
export type { NatEvents } from "./events/nat-events.js";
export type { ExplainedEmission, ExplainedSession, Explanation } from "./explain/explanation.js";
export type { FieldChange } from "./explain/fields.js";
export { packetOfFlow, packetOfHex } from "./explain/input.js";
export type { Remedy } from "./explain/remedies.js";
export type { Rule } from "./explain/rules.js";
export type { ToldExplanation } from "./explain/words.js";
export { explanationInWords, told } from "./explain/words.js";
export type {
  Grant,
  InsideEndpoint,
  KeepRequest,
  MappingRequest,
  Refusal,
  RemoteFilter,
} from "./explicit-mappings.js";
export { ExplicitMappings, MOST_FILTERS, MOST_LIFETIME } from "./explicit-mappings.js";
export type { GatewayConfig, GatewayNetworks, HttpConfig, ResolvedGatewayConfig } from "./gateway/config.js";
export type { Forward } from "./gateway/gateway.js";
export { Gateway } from "./gateway/gateway.js";
export type { Network, PortKind } from "./gateway/networks.js";
export type { GatewayStats, PortStats } from "./gateway/stats.js";
export type { GatewayStatus } from "./gateway/status.js";
export type { EventFeed, EventLogOptions, EventLogStats } from "./logs/event-log.js";
export { EventLog } from "./logs/event-log.js";
export type { IpfixOptions } from "./logs/ipfix.js";
export { IpfixExporter } from "./logs/ipfix.js";
export type { JsonLogOptions } from "./logs/json-log.js";
export { JsonLog } from "./logs/json-log.js";
export type { SyslogOptions } from "./logs/syslog.js";
export { SyslogExporter } from "./logs/syslog.js";
export type { What } from "./logs/what.js";
export { metricsOf } from "./metrics/metrics.js";
export type { EmittedPacket, NatOptions, TranslateOptions } from "./nat.js";
export { Nat } from "./nat.js";
export type { BatchOptions } from "./packet-batch.js";
export {
  DESCRIPTOR,
  DESCRIPTOR_WORDS,
  FROM_OUTSIDE,
  HAIRPINNED,
  PARTIAL_CHECKSUM,
  PacketBatch,
  SEGMENTED,
} from "./packet-batch.js";
export type { PcpServerOptions } from "./pcp/server.js";
export { PCP_CLIENT_PORT, PCP_PORT, PcpServer } from "./pcp/server.js";
export { ShardedConntrack } from "./sharded/conntrack.js";
export { ShardedMappings } from "./sharded/mappings.js";
export type { ProducerHandle } from "./sharded/producer.js";
export { ShardProducer } from "./sharded/producer.js";
export { SHARD_DISPUTED, SHARD_UNKNOWN } from "./sharded/steering.js";
export type { PacketToTranslate, ShardedNatOptions } from "./sharded-nat.js";
export { MOST_SHARDS, ShardedNat } from "./sharded-nat.js";
export type { NatStats } from "./stats.js";
export type { CaptureCounts } from "./tap/capture.js";
export { captureTap } from "./tap/capture.js";
export type { CaptureFilesOptions } from "./tap/files.js";
export { Tap, type TapOptions } from "./tap/tap.js";
export { commentOf, type TappedPacket, type TappedSession } from "./tap/tapped-packet.js";
export type { Direction, DropReason, Verdict, VerdictName } from "./verdict.js";
export { DIRECTIONS, REASONS, VERDICTS } from "./verdict.js";
