// @ts-check
/** Reports about a registered job: made, shown and sent by the same Python as reports about kernels. Loaded only by pages that share. */
import { EmbedConsent } from "./consent.js";
import { addressOf, askedFor, GUESSED, isSame } from "./first_guess.js";

/**
 * Share what choose() measured of a job with its server. Nothing leaves before `consent` is on and `send` is called.
 * @param {string} server @returns {Promise<import("./fleetune.d.ts").Sharing>}
 */
export async function sharing(server) {
  const { pythonFor } = await import("../shared/python.js");
  const address = addressOf(server);
  const python = pythonFor(address, new EventTarget());
  const ops = () => python.ops();
  return {
    consent: /** @type {import("./fleetune.d.ts").Consent} */ (new EmbedConsent(address, ops, () => python.running)),
    async add(chosen) {
      const page = chosen.described();
      const { job } = await askedFor(address, page.name);
      if (!isSame(job, page)) throw new Error(`Fleetune: ${address} knows ${page.name} with other implementations, versions or patterns`);
      const [reference] = page.implementations;
      const cells = chosen.contexts().filter(({ verdict }) => verdict !== GUESSED).map(({ pattern, size, times: { [reference.name]: js, ...times } }) => ({
        pattern: pattern || job.patterns[0], size, times: { ...times, js },
      }));
      return (await ops()).timed_job({ job: page.name, signature: job.profileSignature, cells });
    },
    preview: async () => (await ops()).preview(),
    send: async (options) => (await import("./consent_dialog.js")).sendSeen(await ops(), options),
    close: () => python.close(),
  };
}
