// The API key, if the service requires one.
//
// Contract: it is stored until the tab is closed, sent only to the service that served the page, and never put into a
// link, the curl command, or a message.

const KEPT = "reprompt-key";

// Storage may be disabled; the key then lasts as long as the page.
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
