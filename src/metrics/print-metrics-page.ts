// Prints docs/metrics.md; `npm run generate` runs it.
import { metricsPage } from "./metrics-page.ts";

process.stdout.write(metricsPage());
