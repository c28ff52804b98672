// The API key, where the service asks for one.
//
// Contract: it is kept for as long as the tab, sent to the service that the page came from, and never put into a link,
// the command that is shown, or a message.

const KEPT = "reprompt-key";

// Storage may be forbidden; the key then lasts as long as the page.
let key = "";
try { key = sessionStorage.getItem(KEPT) ?? ""; } catch { /* as above */ }

export const apiKey = () => key;

/**
 * @param {string} value  empty for none
 * @returns {boolean} whether it is one that a header can hold; nothing changes otherwise
 */
export function setApiKey(value) {
  if (!/^[\x21-\x7e]*$/.test(value.trim())) return false;
  key = value.trim();
  try { sessionStorage.setItem(KEPT, key); } catch { /* as above */ }
  return true;
}
