// NAT slipstreaming (Kamkar 2020 and 2021) against the FTP ALG (`alg.ftp`, off by default): a page that somebody
// inside visits makes the browser send what the attacker likes to his server's port 21, cut into segments so that
// one of them begins like an FTP command; a NAT that reads segments opens a port of the inside host, or of another.
import { equal, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import { decode, tcp } from "../support/packets.js";
import { Connection, figure, PUBLIC, Scene, SECOND, VICTIM } from "./scene.js";

const SERVER = "192.0.2.66:21"; // the attacker's

/** A connection to the attacker's port 21, and what it made the NAT do. */
class Control {
  readonly scene: Scene;
  readonly connection: Connection;

  constructor(ftp = true) {
    this.scene = new Scene({ alg: { ftp } });
    this.connection = new Connection(this.scene, VICTIM, SERVER);
  }

  [Symbol.dispose](): void {
    this.scene.nat.close();
  }

  /** The server says something. */
  reply(payload: string): void {
    const { connection, scene } = this;
    scene.hand(connection.segmentIn({ payload, flags: "PA" }));
    scene.nat.take();
    connection.remoteNext += payload.length;
    connection.outbound();
  }
  /** The victim sends a segment; what leaves of it. */
  say(payload: string): string {
    const { connection, scene } = this;
    const outcome = scene.hand(connection.segmentOut({ payload, flags: "PA" }));
    connection.insideNext += payload.length;
    const made = scene.nat.take().find(({ side }) => side === "outside");
    const { body } = decode(made?.packet ?? outcome.packet);
    return body.kind === "tcp" ? new TextDecoder().decode(body.payload) : "";
  }

  /** Ports that are open beside the control connection: public port, and the inside endpoint behind it. */
  get opened(): string[] {
    const sessions = [...this.scene.nat.conntrack].filter(({ remote }) => remote.port !== 21);
    return sessions.map(({ inside }) => `${inside.address}:${inside.port}`);
  }

  /** Asserts that these segments leave as they are and open nothing. */
  assertHarmless(...segments: string[]): void {
    for (const segment of segments) equal(this.say(segment), segment);
    equal(this.opened.join(), "");
  }
}

const port = (host: string, number: number) =>
  `PORT ${host.replaceAll(".", ",")},${number >> 8},${number & 255}\r\n`;
const extended = (host: string, number: number) => `EPRT |1|${host}|${number}|\r\n`;
const HOST = "10.0.0.1";

describe("an honest FTP client", () => {
  test("has the port opened that it names, for its server only", () => {
    using control = new Control();
    control.reply("220 welcome\r\n");
    control.say("USER anonymous\r\n");
    const sent = control.say(port(HOST, 5000));
    const numbers = sent.match(/^PORT 203,0,113,1,(\d+),(\d+)\r\n$/);
    ok(numbers, sent);
    equal(control.opened.join(), `${HOST}:5000`);
    const dst = `${PUBLIC}:${Number(numbers[1]) * 256 + Number(numbers[2])}`;
    equal(control.scene.hand(tcp({ src: "198.51.100.9:20", dst, flags: "S" })).reason, "filtered");
    equal(control.scene.pass(tcp({ src: "192.0.2.66:20", dst, flags: "S" })).to, `${HOST}:5000`);
  });
});

describe("slipstreaming", () => {
  const request = `POST /upload HTTP/1.1\r\nHost: attacker.example:21\r\nContent-Length: 1000000\r\n\r\n`;

  test("a POST whose body has PORT at the start of a segment opens nothing", (t) => {
    let tried = 0;
    for (const greeting of ["", "220 welcome\r\n", "220-welcome\r\n220 now\r\n"]) {
      for (const line of [port(HOST, 5000), extended(HOST, 5000), "PASV\r\n", "EPSV\r\n"]) {
        for (const padding of ["x".repeat(1400), `${"x".repeat(1398)}\r\n`]) {
          using control = new Control();
          if (greeting !== "") control.reply(greeting);
          control.assertHarmless(request, padding, line, `USER anonymous\r\n`, line);
          tried++;
        }
      }
    }
    figure(t, "Ports opened by HTTP requests with FTP commands at segment starts, of 24 ways", 0);
    equal(tried, 24);
  });

  test("nor do other protocols that a browser or client speaks", () => {
    for (const first of [
      "GET / HTTP/1.1\r\n",
      "PUT / HTTP/1.1\r\n",
      "HEAD / HTTP/1.1\r\n",
      "OPTIONS / HTTP/1.1\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00",
      "REGISTER sip:x SIP/2.0\r\n",
      "EHLO x\r\n",
    ]) {
      using control = new Control();
      control.reply("220 welcome\r\n");
      control.assertHarmless(first, "USER anonymous\r\n", port(HOST, 5000), extended(HOST, 5000));
    }
  });

  test("nor a client who speaks before the server, nor one whose first command is PORT", () => {
    using early = new Control();
    early.assertHarmless("USER anonymous\r\n", port(HOST, 5000));
    early.reply("220 welcome\r\n");
    early.assertHarmless("USER anonymous\r\n", port(HOST, 5000));
    using abrupt = new Control();
    abrupt.reply("220 welcome\r\n");
    abrupt.assertHarmless(port(HOST, 5000), "USER anonymous\r\n", port(HOST, 5000));
  });

  test("nor a line that begins in the segment before, or ends in the one after", () => {
    for (const cut of [1, 3, 5, 10, 20]) {
      using control = new Control();
      control.reply("220 welcome\r\n");
      control.say("USER anonymous\r\n");
      const line = `USER x${port(HOST, 5000)}`;
      control.assertHarmless(line.slice(0, 6), line.slice(6));
      const whole = port(HOST, 5001);
      control.assertHarmless(whole.slice(0, cut), whole.slice(cut));
    }
  });

  test("nor a line after a gap in what was read", () => {
    using control = new Control();
    control.reply("220 welcome\r\n");
    control.say("USER anonymous\r\n");
    control.connection.insideNext += 1000; // a segment that took another way
    control.assertHarmless(port(HOST, 5000));
  });
});

describe("whoever speaks FTP", () => {
  const greeted = () => {
    const control = new Control();
    control.reply("220 welcome\r\n");
    control.say("USER anonymous\r\n");
    return control;
  };

  test("can't have a port of another host opened, nor of the NAT (RFC 2577)", (t) => {
    let opened = 0;
    for (const other of [
      "10.0.0.2",
      "10.0.0.66",
      "10.255.255.255",
      PUBLIC,
      "127.0.0.1",
      "0.0.0.0",
      "198.51.100.7",
    ]) {
      for (const line of [port(other, 5000), extended(other, 5000)]) {
        using control = greeted();
        control.assertHarmless(line);
        opened += control.opened.length;
      }
    }
    figure(t, "Ports of other hosts that an FTP client can have opened", opened);
  });

  test("nor a port below 1024", (t) => {
    let opened = 0;
    for (const low of [0, 1, 21, 22, 23, 80, 139, 445, 1023]) {
      for (const line of [port(HOST, low), extended(HOST, low)]) {
        using control = greeted();
        control.assertHarmless(line);
        opened += control.opened.length;
      }
    }
    figure(t, "Ports below 1024 that an FTP client can have opened", opened);
  });

  test("nor more than one at a time, whatever it names", (t) => {
    using control = greeted();
    let most = 0;
    for (let number = 1024; number < 3000; number++) {
      control.say(number % 2 === 0 ? port(HOST, number) : extended(HOST, number));
      most = Math.max(most, control.opened.length);
    }
    equal(most, 1);
    figure(t, "Ports of its own that an FTP client can have open at a time", most);
    // It is closed when nobody comes.
    control.scene.now += 240 * SECOND;
    control.scene.nat.conntrack.sweep(control.scene.now);
    equal(control.opened.length, 0);
  });

  test("nor anything by words that are not the command", () => {
    using control = greeted();
    control.assertHarmless(
      "PORT 10,0,0,1,19\r\n",
      "PORT 10,0,0,1,19,136,1\r\n",
      "PORT 10,0,0,1,019999,136\r\n",
      "PORT 10,0,0,1,256,136\r\n",
      "PORT 10,0,0,1,19,136 \r\n",
      "PORT  10,0,0,1,19,136\r\n",
      "PORT 10,0,0,1,19,136\n",
      "EPRT |2|10.0.0.1|5000|\r\n",
      "EPRT |1|10.0.0.1|65536|\r\n",
      "EPRT |1|10.0.0.1|5000|x\r\n",
      "STOR PORT 10,0,0,1,19,136\r\n",
    );
  });
});

describe("without the ALG, as by default", () => {
  test("what looks like FTP is data like any other", () => {
    using control = new Control(false);
    control.reply("220 welcome\r\n");
    control.assertHarmless("USER anonymous\r\n", port(HOST, 5000), extended(HOST, 5000));
  });
});
