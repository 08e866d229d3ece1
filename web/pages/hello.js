/** What stands beside the URL of hello, whose program needs none of it: a button that copies, a QR code. */
import { offerCopy } from './copy.js'
import { by } from './element.js'

const link = by('link')
offerCopy(by('copy'), () => link.href)
const show = () => {
  if (!link.href) return
  by('qr').src = `/qr.svg?${new URLSearchParams({ text: link.href })}`
  by('qr').alt = `QR code of ${link.href}`
  for (const id of ['copy', 'qr']) by(id).hidden = false
}
new MutationObserver(show).observe(link, { attributeFilter: ['href'] })
show()
