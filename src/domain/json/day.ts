/** Whether the day and the hour of an RFC 3339 date-time exist; the rest is checked where it is read. */
export function isDateTime(text: string): boolean {
  return isDay(text.slice(0, 10)) && text.slice(11, 13) < "24";
}

/** Whether a text is a full-date of RFC 3339, as 2026-01-31. Such texts stand in the order of their days. */
export function isDay(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return false;
  // Date takes the 30th of February for the 2nd of March; such a day does not come back as it went in.
  return new Date(`${text}T00:00:00Z`).toJSON()?.startsWith(text) ?? false;
}
