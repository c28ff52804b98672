// The playground in Chromium, against the release binary and its embedded model.

import { after, before, describe } from "node:test";
import { launch } from "./support.mjs";
import { startService } from "./service.mjs";
import { chips } from "./cases/chips.mjs";
import { controls } from "./cases/controls.mjs";
import { docs } from "./cases/docs.mjs";
import { edits } from "./cases/edits.mjs";
import { example } from "./cases/example.mjs";
import { keys } from "./cases/keys.mjs";
import { layout } from "./cases/layout.mjs";
import { problems } from "./cases/problems.mjs";
import { returning } from "./cases/returning.mjs";
import { sight } from "./cases/sight.mjs";
import { touch } from "./cases/touch.mjs";
import { warnings } from "./cases/warnings.mjs";

describe("playground", { concurrency: 1 }, () => {
  /** @type {{browser?: any, url: string}} */
  const world = { url: "" };
  let stop = () => {};

  before(async () => {
    const service = await startService();
    stop = service.stop;
    world.url = service.url;
    world.browser = await launch();
  });
  after(async () => {
    await world.browser?.close();
    stop();
  });

  edits(world);
  controls(world);
  chips(world);
  problems(world);
  warnings(world);
  sight(world);
  touch(world);
  layout(world);
  returning(world);
  keys(world);
  docs(world);
  example(world);
});
