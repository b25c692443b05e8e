// Why a port can't be opened, with what to do about it.
import { constants } from "node:os";
import { NatError } from "../errors.js";
import type { Network, PortKind } from "./networks.js";

const { EPERM, EACCES, ENOENT, EBUSY, EINVAL, ENODEV, EPROTONOSUPPORT, EADDRINUSE, ENETDOWN } =
  constants.errno;

/** What the native side throws when it can't open a port. */
type PortError = Error & { errno?: number; port?: string };

/** The error to throw for one; `networks` are those whose ports were to be opened. */
export function portTrouble(error: PortError, networks: readonly Network[]): Error {
  const network = networks.find(({ name }) => name === error.port);
  if (network === undefined) return error;
  const remedy = remedyFor(error.errno ?? 0, network);
  const text = remedy === null ? error.message : `${error.message}; ${remedy}`;
  return new NatError("NAT_ERR_GATEWAY", text);
}

function remedyFor(errno: number, { kind, name }: Network): string | null {
  switch (errno) {
    case EPERM:
    case EACCES:
      return NEEDS[kind];
    case ENODEV:
      return "`ip link` lists the interfaces that there are";
    case EPROTONOSUPPORT:
      return "only Ethernet interfaces will do";
    case ENETDOWN:
      return `it is down; bring it up with: ip link set ${name} up`;
    case EADDRINUSE:
      return kind === "qemu" ? "another gateway listens there" : "another gateway has it";
    case EBUSY:
      return "another program has it";
    case EINVAL:
      return kind === "tun" || kind === "tap"
        ? `there is a "${name}" of another kind; choose another name`
        : null;
    case ENOENT:
      return kind === "qemu" ? "its directory has to be there" : "the kernel has no TUN; try: modprobe tun";
    default:
      return null;
  }
}

const NEEDS: Record<PortKind, string> = {
  interface: "it needs root, or the capability CAP_NET_RAW",
  host: "it needs root, or the capabilities CAP_NET_RAW and CAP_NET_ADMIN",
  tap: "it needs root, or the capability CAP_NET_ADMIN",
  tun: "it needs root, or the capability CAP_NET_ADMIN",
  qemu: "its directory has to be one that this user may write to",
};
