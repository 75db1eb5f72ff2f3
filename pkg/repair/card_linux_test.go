package repair

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshtest"
	"pi-key-tools/pkg/strictmodes"
)

// A card is repaired by its own accounts and configuration, the script and the
// undoing name its files as they are here, and no link leads out of it.
func TestCard(t *testing.T) {
	sshtest.NeedRoot(t)
	parent, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "a card")
	put := func(name, data string, mode os.FileMode, uid int) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(data), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(name, uid, uid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(parent, "outside")
	if err := os.WriteFile(outside, []byte("-----BEGIN OPENSSH PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	put("etc/passwd", "root:x:0:0::/root:/bin/sh\npi:x:1000:1000::/home/pi:/bin/sh\neve:x:1001:1001::/home/eve:/bin/sh\nbin:x:2:2::/srv:/usr/sbin/nologin\n", 0o644, 0)
	put("etc/group", "pi:x:1000:\neve:x:1001:pi\n", 0o644, 0)
	put("etc/os-release", "ID=raspbian\n", 0o644, 0)
	put("usr/sbin/sshd", "", 0o755, 0)
	put("etc/ssh/sshd_config", "Include d/*.conf\nMatch Group eve\nAuthorizedKeysFile /srv/keys/%u\n", 0o644, 0)
	put("srv/keys/pi", "", 0o666, 1000)
	put("srv/keys/eve", "", 0o600, 1001)
	put("home/pi/.ssh/authorized_keys", "", 0o666, 1000) // which the server does not look at
	put("home/eve/.ssh/id_rsa", "-----BEGIN RSA PRIVATE KEY-----\n", 0o640, 1001)
	if err := os.Symlink(outside, filepath.Join(dir, "home/eve/.ssh/id_out")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(outside, 0o666); err != nil {
		t.Fatal(err)
	}

	link := filepath.Join(parent, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	card, root, end, err := OpenCard(link)
	if err != nil || root != dir {
		t.Fatalf("%q, %v", root, err)
	}
	defer end()
	server := diagnose.ServerOn(t.Context(), card)
	if server != strictmodes.Debian {
		t.Errorf("it is judged as %v", server)
	}
	repair := func(job *Job) string {
		accounts, err := Who(t.Context(), card, "", true)
		if err != nil {
			t.Fatal(err)
		}
		job.Root = root
		var lines []string
		for r := range job.Accounts(t.Context(), card, accounts, true, server, server) {
			lines = append(lines, string(r.Verdict)+" "+r.Cause+" "+r.Subject)
			if r.Verdict == record.Fail && !strings.Contains(r.Hint, "'"+root+r.Subject) {
				t.Errorf("the hint %q names no file that is here", r.Hint)
			}
		}
		return strings.Join(lines, "\n")
	}
	const want = "fail keys-writable /srv/keys/pi\nok modes /home/eve\ntodo key-mode /home/eve/.ssh/id_rsa"
	before := tree(t, parent)
	s := Script{Root: root}
	script := s.Head("a card")
	got := repair(&Job{DryRun: true, Plan: func(about string, steps []Step) { script += s.Lines(about, steps) }})
	if got != strings.Replace(want, "ok modes /home/eve\n", "", 1) {
		t.Errorf("got\n%s", got)
	}
	if after := tree(t, parent); after != before {
		t.Errorf("the dry run changed it to\n%s", after)
	}
	undoFile := filepath.Join(t.TempDir(), "undo")
	undo, err := NewUndo(undoFile, root, "a card")
	if err != nil {
		t.Fatal(err)
	}
	defer undo.Close()
	repair(&Job{Undo: undo})
	after := tree(t, parent)
	if before == after {
		t.Error("nothing was repaired")
	}
	for _, c := range []struct{ stdin, want string }{{"", before}, {script + s.Tail(), after}} {
		cmd := exec.Command("sh", undoFile)
		if c.stdin != "" {
			cmd = exec.Command("sh")
			cmd.Stdin = strings.NewReader(c.stdin)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		if got := tree(t, parent); got != c.want {
			t.Errorf("got\n%swant\n%s", got, c.want)
		}
	}
}
