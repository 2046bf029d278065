// The options of ../contract.rs, for servers in JavaScript.

export const LARGEST_MESSAGE = 100 * 1024 * 1024;

export function options() {
  const found = { certificate: null, key: null, compression: 'off' };
  const names = {
    '--tls-certificate': 'certificate',
    '--tls-key': 'key',
    '--compression': 'compression',
  };
  const words = process.argv.slice(2);
  for (let i = 0; i < words.length; i += 2) {
    const name = names[words[i]];
    if (!name) {
      console.error(`unknown option ${words[i]}`);
      process.exit(2);
    }
    found[name] = words[i + 1];
  }
  return found;
}
