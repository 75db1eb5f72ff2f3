//go:build unix

package identity

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// agentSockets are where agents make their sockets: OpenSSH's since 10.1 and
// before (misc.c mktemp_proto()), those of Debian's user services, GNOME,
// gpg-agent, and launchd.
func agentSockets(home string, getenv func(string) string) []string {
	patterns := []string{filepath.Join(home, ".ssh/agent/*"), filepath.Join(home, ".gnupg/S.gpg-agent.ssh")}
	if run := getenv("XDG_RUNTIME_DIR"); run != "" {
		for _, name := range []string{"ssh-agent.socket", "openssh_agent", "gcr/ssh", "keyring/ssh", "gnupg/S.gpg-agent.ssh"} {
			patterns = append(patterns, filepath.Join(run, name))
		}
	}
	temp := getenv("TMPDIR")
	if temp == "" {
		temp = "/tmp"
	}
	return append(patterns, filepath.Join(temp, "ssh-*/agent.*"), "/private/tmp/com.apple.launchd.*/Listeners")
}

// maxAgents is how many sockets are tried; the leftovers of years may be there.
const maxAgents = 50

// agentPatience is how long an agent has, which may be stopped.
const agentPatience = 300 * time.Millisecond

// FindAgents looks in the usual places for agents of the user that answer,
// other than the one at the socket except; all are asked at once. It talks only
// to sockets that belong to the user, in directories that do. Agents that hold
// keys come first.
func FindAgents(ctx context.Context, home string, getenv func(string) string, except string) []FoundAgent {
	ctx, cancel := context.WithTimeout(ctx, agentPatience)
	defer cancel()
	var sockets []string
	for _, pattern := range agentSockets(home, getenv) {
		paths, _ := filepath.Glob(pattern) // the patterns are good
		for _, path := range paths {
			if len(sockets) < maxAgents && path != except && !slices.Contains(sockets, path) && ours(path) && ours(filepath.Dir(path)) {
				sockets = append(sockets, path)
			}
		}
	}
	keys := make([]int, len(sockets)) // that each holds; -1 for one that does not answer
	var all sync.WaitGroup
	for i, socket := range sockets {
		all.Go(func() { keys[i] = countKeys(ctx, socket) })
	}
	all.Wait()
	var found []FoundAgent
	for i, socket := range sockets {
		if keys[i] >= 0 {
			found = append(found, FoundAgent{socket, keys[i]})
		}
	}
	slices.SortStableFunc(found, func(a, b FoundAgent) int { return min(b.Keys, 1) - min(a.Keys, 1) })
	return found
}

// ours reports whether a socket, or the directory of one, is the user's own.
func ours(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&(fs.ModeSocket|fs.ModeDir) == 0 || strings.ContainsAny(path, "\n") {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Getuid()
}

// countKeys returns how many keys an agent holds; -1 if it does not answer.
func countKeys(ctx context.Context, socket string) int {
	a, err := DialAgent(ctx, socket)
	if err != nil {
		return -1
	}
	defer a.Close()
	keys, err := a.Keys(ctx)
	if err != nil {
		return -1
	}
	return len(keys)
}
