// Runs before the first paint, as a classic script: applies the remembered theme and language so that nothing flashes.
(() => {
  const read = (name) => {
    try {
      return localStorage.getItem(`sockeye.${name}`);
    } catch {
      return null;
    }
  };
  const root = document.documentElement;
  const theme = read('theme');
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
  const language = read('language') ?? navigator.language;
  root.lang = language.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en';
})();
