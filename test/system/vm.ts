// A small Linux guest in QEMU: the system's own kernel, and busybox as all the rest. Its only card is a socket's.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { whyNoLab } from "./lab.js";

const BUSYBOX = "/bin/busybox";
const DHCP_SCRIPT = "/etc/udhcpc/default.script";
/** What the card needs, in the order of loading. */
const MODULES = [
  ["virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"].map(
    (name) => `drivers/virtio/${name}`,
  ),
  ["net/core/failover", "drivers/net/net_failover", "drivers/net/virtio_net"],
].flat();

/** Where a kernel and its modules are. */
interface Kernel {
  readonly image: string;
  readonly modules: string;
}

/** Debian's cloud kernel, where it is installed or where .ci/run has unpacked it; the newest. Or null. */
function findKernel(): Kernel | null {
  for (const root of ["/", "/var/cache/napt-kernel"]) {
    const boot = join(root, "boot");
    const names = existsSync(boot) ? readdirSync(boot).sort() : [];
    const image = names.filter((name) => /^vmlinuz-.*-cloud-amd64$/.test(name)).at(-1);
    if (image === undefined) continue;
    const modules = join(root, "lib/modules", image.slice("vmlinuz-".length), "kernel");
    if (existsSync(modules)) return { image: join(boot, image), modules };
  }
  return null;
}

/** Why there can be no guest here, or false. */
export function whyNoGuest(): string | false {
  const without = whyNoLab("qemu-system-x86_64", "unshare");
  if (without !== false) return without;
  if (findKernel() === null) return "there is no linux-image-cloud-amd64 (.ci/run unpacks it)";
  if (!existsSync(DHCP_SCRIPT)) return "udhcpc is not installed (.ci/run installs it)";
  // One that needs libraries would not run in the guest.
  if (!existsSync(BUSYBOX) || readFileSync(BUSYBOX).includes("/ld-linux")) {
    return "busybox-static is not installed (.ci/run installs it)";
  }
  return false;
}

/** Says when it is there, then runs the commands that the console brings, and tells how each has ended. */
const INIT = `#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in ${MODULES.map((path) => path.split("/").at(-1)).join(" ")}; do insmod /modules/$module.ko; done
ip link set lo up
ip link set eth0 up
exec < /dev/ttyS0 > /dev/ttyS0 2>&1
stty raw -echo
printf '\\0010\\001'
while read -r command; do
  eval "$command" < /dev/null
  printf '\\001%d\\001' $?
done
poweroff -f
`;

/** An archive for the kernel's initramfs, in cpio's "newc" format: directories, then files. */
function initramfs({ modules }: Kernel): Buffer {
  const parts: Buffer[] = [];
  let inode = 1;
  const add = (name: string, mode: number, data: Buffer) => {
    const fields = [inode++, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
    for (const part of [Buffer.from(`${header}${name}\0`, "latin1"), data]) {
      parts.push(part, Buffer.alloc(-part.length & 3));
    }
  };
  for (const name of ["bin", "dev", "etc", "etc/udhcpc", "modules", "proc", "sys", "tmp"]) {
    add(name, 0o040755, Buffer.alloc(0));
  }
  add("init", 0o100755, Buffer.from(INIT));
  add("bin/busybox", 0o100755, readFileSync(BUSYBOX));
  add("etc/udhcpc/default.script", 0o100755, readFileSync(DHCP_SCRIPT));
  for (const path of MODULES) {
    add(`modules/${path.split("/").at(-1)}.ko`, 0o100644, readFileSync(join(modules, `${path}.ko`)));
  }
  add("TRAILER!!!", 0, Buffer.alloc(0));
  return Buffer.concat(parts);
}

/** How a command in the guest ended. */
export interface Ended {
  readonly status: number;
  /** What it has written, errors too. */
  readonly output: string;
}

/** A guest that runs. */
export class Guest {
  readonly #qemu: ChildProcess;
  #console = "";
  #waiting: { resolve(ended: Ended): void; reject(error: Error): void } | null = null;

  private constructor(qemu: ChildProcess) {
    this.#qemu = qemu;
    qemu.stdout!.setEncoding("latin1").on("data", (text: string) => {
      this.#console += text;
      const [output = "", status, ...rest] = this.#console.split("\x01");
      if (status === undefined || rest.length === 0) return;
      this.#console = rest.join("\x01");
      this.#waiting?.resolve({ status: Number(status), output });
    });
    qemu.stderr!.setEncoding("latin1").on("data", (text: string) => {
      this.#console += text;
    });
    qemu.stdin!.on("error", () => {}); // its end is told below
    qemu.on("exit", (code) => this.#waiting?.reject(new Error(`QEMU ended (${code}): ${this.#console}`)));
  }

  /**
   * Boots a guest whose card is at a Unix socket that somebody listens on. It has no address yet: `udhcpc -i eth0 -n -q`
   * gets it one.
   * @param files a directory for what it boots from
   */
  static async boot(socket: string, files: string): Promise<Guest> {
    const kernel = findKernel();
    if (kernel === null) throw new Error("no kernel");
    const archive = join(files, "initramfs");
    writeFileSync(archive, initramfs(kernel));
    // In a namespace without a network: the socket is all that it has.
    const qemu = spawn("unshare", [
      ...["--net", "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-accel", "tcg", "-m", "128"],
      ...["-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", kernel.image, "-initrd", archive],
      ...["-append", "console=ttyS0 quiet loglevel=0 panic=-1 nokaslr mitigations=off"],
      ...["-netdev", `stream,id=n0,server=off,addr.type=unix,addr.path=${socket}`],
      ...["-device", "virtio-net-pci,netdev=n0,romfile="],
    ]);
    const guest = new Guest(qemu);
    try {
      await guest.#ended(120);
      return guest;
    } catch (error) {
      guest.close();
      throw error;
    }
  }

  /** Runs a command of the guest's shell; a line of it. */
  async exec(command: string, seconds = 60): Promise<Ended> {
    const ended = this.#ended(seconds);
    this.#qemu.stdin!.write(`${command}\n`);
    return ended;
  }

  close(): void {
    this.#qemu.kill("SIGKILL");
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The end of what runs now. */
  async #ended(seconds: number): Promise<Ended> {
    if (this.#qemu.exitCode !== null) throw new Error(`QEMU has ended: ${this.#console}`);
    if (this.#waiting !== null) throw new Error("the guest runs one command at a time");
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        const tooLong = () => reject(new Error(`it does not end: ${this.#console}`));
        timer = setTimeout(tooLong, seconds * 1000);
        this.#waiting = { resolve, reject };
      });
    } finally {
      clearTimeout(timer);
      this.#waiting = null;
    }
  }
}
