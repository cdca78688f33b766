/** Whether the day and the hour of an RFC 3339 date-time exist; the parser checks the rest. */
export function isDateTime(text: string): boolean {
  return isDay(text.slice(0, 10)) && text.slice(11, 13) < "24";
}

/** Whether a text is a full-date of RFC 3339, as 2026-01-31. Such texts sort by day. */
export function isDay(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) {
    return false;
  }
  // Date takes 30 February for 2 March, which is then written differently.
  return new Date(`${text}T00:00:00Z`).toJSON()?.startsWith(text) ?? false;
}
