// Writes src/demo/story.pcap: `npm run story`.
import { openSink } from "../capture/sink.js";
import { PcapWriter } from "../capture/writer.js";
import { STORY_FILE } from "./demo.js";
import { makeStory, STORY_START } from "./story.js";

/** Writes the story's capture. */
export async function writeStory(path: string): Promise<void> {
  const sink = await openSink(path);
  const writer = new PcapWriter(sink, { linkType: 1 });
  for (const { time, frame } of makeStory()) {
    const seconds = Math.floor(time);
    writer.packet(frame, STORY_START + seconds, Math.round((time - seconds) * 1e6) * 1000);
  }
  await writer.flush();
  await sink.close();
}

if (require.main === module) void writeStory(STORY_FILE);
