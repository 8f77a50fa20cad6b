// A GitHub that nobody here wrote, on a free port of loopback, until stdin ends. Prints its URL as JSON.
import { createEmulator } from 'emulate'

const github = await createEmulator({
  service: 'github',
  port: 0,
  seed: {
    tokens: { 'test-token': { login: 'bot', scopes: ['repo'] } },
    github: {
      users: [{ login: 'bot', name: 'Bot', email: 'bot@example.com' }],
      orgs: [{ login: 'acme', name: 'Acme', members: [{ login: 'bot', role: 'admin' }] }],
      repos: [{ owner: 'acme', name: 'gitops', auto_init: true }],
    },
  },
})
console.log(JSON.stringify({ url: github.url }))
process.stdin.resume()
process.stdin.on('end', async () => {
  await github.close()
  process.exit(0)
})
