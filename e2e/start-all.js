// Parts of a test that start at the same time.

/**
 * Waits until all have started, and returns them. If one fails to start, ends the others, which would otherwise keep
 * the process of the test alive, and rejects.
 */
export async function startAll(...starting) {
  const outcomes = await Promise.allSettled(starting)
  const failed = outcomes.find(({ status }) => status === 'rejected')
  if (!failed) return outcomes.map(({ value }) => value)
  await Promise.allSettled(
    outcomes.map(({ value }) => (value?.stop ? value.stop() : value?.close())),
  )
  throw failed.reason
}
