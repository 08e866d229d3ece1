/** Calls the person to the page by a sound, and by a notification if they allow it. */
import { keep, recall } from './kept.js'
import { say, visible } from './element.js'

const notes = [880, 1174.66]
const noteS = 0.18
// Askers who leave again and again must not ring all the time.
const restMs = 2_000

export class Bell {
  #sound
  #notify
  #said
  #page
  #rangMs = -restMs
  /** @type {AudioContext | undefined} */
  #audio

  /**
   * @param {HTMLInputElement} sound the checkbox for the sound
   * @param {HTMLButtonElement} notify the button that allows notifications
   * @param {HTMLElement} said
   * @param {{ page?: string, rings?: boolean }} [options] the page, and whether it rings unless turned off
   */
  constructor(sound, notify, said, { page = 'ask', rings = true } = {}) {
    this.#page = page
    this.#sound = sound
    this.#notify = notify
    this.#said = said
    const silent = recall(`${page} silent`)
    sound.checked = silent === null ? rings : silent === 'no'
    sound.addEventListener('change', () => {
      keep(`${page} silent`, sound.checked ? 'no' : 'yes')
      if (sound.checked) this.#play()
    })
    // A page may play sounds only after the user has touched it.
    addEventListener('pointerdown', () => this.#context()?.resume(), { once: true })
    addEventListener('keydown', () => this.#context()?.resume(), { once: true })
    notify.addEventListener('click', () => this.#allow())
    notify.hidden = !('Notification' in window) || Notification.permission !== 'default'
  }

  /**
   * @param {string} who
   * @param {string} text
   */
  ring(who, text) {
    const now = performance.now()
    if (now - this.#rangMs < restMs) return
    this.#rangMs = now
    this.#play()
    if (!document.hidden || !('Notification' in window)) return
    if (Notification.permission !== 'granted') return
    try {
      const note = new Notification(visible(who ? `${who} asks` : 'A request came'), {
        body: visible(text.slice(0, 200)),
        tag: this.#page,
      })
      note.addEventListener('click', () => {
        focus()
        note.close()
      })
    } catch {} // Chrome for Android shows them from service workers only
  }

  async #allow() {
    const permission = await Notification.requestPermission()
    this.#notify.hidden = permission !== 'default'
    const refused = 'The browser does not allow notifications; the title still counts.'
    say(
      this.#said,
      permission === 'granted' ? 'You are notified while this tab is hidden.' : refused,
    )
  }

  #context() {
    if (!this.#sound.checked || !('AudioContext' in window)) return undefined
    this.#audio ??= new AudioContext()
    return this.#audio
  }

  #play() {
    // Earlier sounds would all be played at the first touch of the page.
    if (!navigator.userActivation?.hasBeenActive) return
    const audio = this.#context()
    if (!audio || audio.state === 'closed') return
    notes.forEach((frequency, i) => {
      const at = audio.currentTime + i * noteS
      const gain = new GainNode(audio, { gain: 0 })
      gain.gain.setValueAtTime(0.0001, at)
      gain.gain.exponentialRampToValueAtTime(0.2, at + 0.02)
      gain.gain.exponentialRampToValueAtTime(0.0001, at + noteS * 2)
      const tone = new OscillatorNode(audio, { frequency })
      tone.connect(gain).connect(audio.destination)
      tone.start(at)
      tone.stop(at + noteS * 2)
    })
  }
}
