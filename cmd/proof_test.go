//go:build unix

package cmd_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pi-key-tools/pkg/sshtest"
)

// Several keys, two connections: one key logs in, the server is asked about
// the others, and what it refuses is looked into.
func TestProofOfManyKeys(t *testing.T) {
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"PubkeyAcceptedAlgorithms ssh-ed25519"}})
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	me := newTraveller(t, server.Endpoint)
	args := []string{"--password-file", me.file("password", user.Password+"\n")}
	for i, kind := range []string{"ed25519", "ecdsa", "ed25519", "ed25519"} {
		key := filepath.Join(me.home, fmt.Sprintf("key%d", i))
		me.run(0, "", "pikeygen", "-t", kind, "-f", key)
		args = append(args, "-i", key)
	}
	records, _ := me.run(1, "", "pikeycopy", append(args, user.Name+"@"+server.Addr)...)
	got := outcomes(records)
	slices.Sort(got)
	want := []string{"done key-added", "done key-added", "done key-added", "done key-added", "fail key-refused", "ok accepted", "ok accepted", "ok login"} // sshd_config is not ours to read
	if !slices.Equal(got, want) {
		t.Errorf("outcomes %q, want %q\n%s", got, want, records)
	}
	if n := strings.Count(server.Log(), "Connection from"); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// More keys than a connection can ask about: nothing is said of the rest.
func TestProofOfTooManyKeys(t *testing.T) {
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{})
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	me := newTraveller(t, server.Endpoint)
	own, _ := me.run(0, "", "pikeygen")
	var list strings.Builder
	for range 60 {
		list.WriteString(sshtest.NewKey(t, t.TempDir(), "ed25519").Line + "\n")
	}
	records, _ := me.run(1, list.String()+own, "pikeycopy", "-i", "-", "--password-file", me.file("password", user.Password+"\n"), user.Name+"@"+server.Addr)
	count := map[string]int{}
	for _, o := range outcomes(records) {
		count[o]++
	}
	if count["done key-added"] != 61 || count["ok accepted"] != 49 || count["ok login"] != 1 || count["fail too-many-tries"] != 11 {
		t.Errorf("outcomes %v", count)
	}
}

// A key that logs in only together with the password is no login without one.
func TestProofNeedsNoPassword(t *testing.T) {
	for _, methods := range []string{"publickey,password", "password,publickey"} {
		server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"AuthenticationMethods " + methods}})
		user := sshtest.AddUser(t, sshtest.UserConfig{})
		me := newTraveller(t, server.Endpoint)
		public, _ := me.run(0, "", "pikeygen")
		user.Authorize(t, strings.TrimSpace(public))
		records, _ := me.run(1, public, "pikeycopy", "-i", "-", "--password-file", me.file("password", user.Password+"\n"), user.Name+"@"+server.Addr)
		if got := outcomes(records); !slices.Contains(got, "fail more-needed") || slices.Contains(got, "ok login") {
			t.Errorf("%s: outcomes %q\n%s", methods, got, records)
		}
	}
}
