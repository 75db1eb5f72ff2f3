//go:build unix

package identity

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// FindAgents looks for agents of the user that answer, other than the one at
// the socket except, where agents usually are. Only what belongs to the user,
// folder and socket, is talked to. Those that hold keys come first.
func FindAgents(ctx context.Context, home string, getenv func(string) string, except string) []FoundAgent {
	var found []FoundAgent
	tried := 0
	for _, pattern := range agentSockets(home, getenv) {
		sockets, _ := filepath.Glob(pattern) // the patterns are good
		for _, socket := range sockets {
			known := func(f FoundAgent) bool { return f.Socket == socket }
			if socket == except || slices.ContainsFunc(found, known) || !ours(socket) || !ours(filepath.Dir(socket)) {
				continue
			}
			if tried++; tried > maxAgents {
				return found
			}
			if n, err := countKeys(ctx, socket); err == nil {
				found = append(found, FoundAgent{socket, n})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b FoundAgent) int { return min(b.Keys, 1) - min(a.Keys, 1) })
	return found
}

// ours reports whether a socket, or the folder of one, is the user's own.
func ours(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&(fs.ModeSocket|fs.ModeDir) == 0 || strings.ContainsAny(path, "\n") {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Getuid()
}

// countKeys asks an agent, which may be stopped, and gives up soon.
func countKeys(ctx context.Context, socket string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	a, err := DialAgent(ctx, socket)
	if err != nil {
		return 0, err
	}
	defer a.Close()
	keys, err := a.Keys(ctx)
	return len(keys), err
}
