/** Returns the URL of another module of the SDK. Only the helper `worker` uses it. */
export function moduleURL(name: string): string {
  // On a gateway the SDK is /sdk.js, and the helpers are below /sdk/. In the package all are side by side.
  return import.meta.url.replace(/(sdk\/)?worker\.js(?=$|\?)/, (_, below) =>
    below && name === 'index.js' ? 'sdk.js' : name,
  )
}
