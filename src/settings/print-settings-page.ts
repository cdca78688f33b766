// Prints docs/settings.md; `npm run generate` runs it.
import { settingsPage } from "./settings-page.ts";

process.stdout.write(settingsPage());
