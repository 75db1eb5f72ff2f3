package diagnose

import (
	"context"
	"errors"
	"os"
	"path"
	"strconv"
	"strings"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshdconfig"
)

// A Serving is how an sshd was started, and what it knows of who is logged in
// besides the account.
type Serving struct {
	Version string                // as it tells it, or as ssh -V does; "" if unknown
	Main    string                // its file of configuration
	Options []string              // those of -o, which come first
	Conn    sshdconfig.Connection // without the account; zero if it may come from anywhere
}

// ServingThere asks the machine of a session how its sshd, of that version, was
// started. What cannot be found out, as without a shell, is taken to be as usual.
func ServingThere(ctx context.Context, s session.Ways, version string) (Serving, error) {
	var f facts
	err := f.ask(ctx, s.Run, question{came: "yes"})
	if errors.Is(err, hostfs.ErrNoShell) || errors.Is(err, session.ErrNoCommand) {
		err = nil
	}
	serving := servedBy(f.parents)
	serving.Version = version
	serving.Conn = sshdconfig.Connection{Address: f.conn.Address, LocalAddress: f.conn.LocalAddress, LocalPort: f.conn.LocalPort}
	return serving, err
}

// ServingHere is how the sshd of this machine was started: the one that we came by, or
// else the one that left its number where Debian and others have it.
func ServingHere(version string) Serving {
	var commands []string
	const most = 32 // that we are in
	for pid := os.Getppid(); pid > 1 && len(commands) < most; {
		command, parent := process(pid)
		commands = append(commands, command)
		pid = parent
	}
	if text, err := os.ReadFile("/run/sshd.pid"); err == nil {
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		command, _ := process(pid)
		commands = append(commands, command)
	}
	serving := servedBy(commands)
	serving.Version = version
	return serving
}

// process returns the command line of a process, "" if it is neither root's nor ours,
// or is seen to run another program than an sshd: anybody may call theirs as they like.
// On systems other than Linux there is none.
func process(pid int) (command string, parent int) {
	dir := "/proc/" + strconv.Itoa(pid)
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return "", 0
	}
	ours := false
	for line := range strings.Lines(string(status)) {
		switch words := strings.Fields(line); {
		case len(words) == 2 && words[0] == "PPid:":
			parent, _ = strconv.Atoi(words[1])
		case len(words) == 5 && words[0] == "Uid:": // real, effective, saved, of files
			ours = words[1] == "0" || words[1] == strconv.Itoa(os.Getuid())
		}
	}
	program, err := os.Readlink(dir + "/exe") // which root may always do
	if !ours || err == nil && !strings.HasPrefix(path.Base(program), "sshd") {
		return "", parent
	}
	line, _ := os.ReadFile(dir + "/cmdline")
	return strings.ReplaceAll(strings.TrimRight(string(line), "\x00"), "\x00", " "), parent
}

// OpenSSH returns the version of an OpenSSH.
func (s Serving) OpenSSH() (version [2]int, known bool) {
	return (&session.Report{ServerVersion: s.Version}).OpenSSH()
}

// servedBy is what the command line of the first sshd among some tells.
func servedBy(commands []string) Serving {
	args := arguments(commands, "sshd")
	serving := Serving{Main: sshdconfig.DefaultFile, Options: values(args, sshdTakes, 'o')}
	if given := values(args, sshdTakes, 'f'); len(given) > 0 {
		serving.Main = given[len(given)-1]
	}
	return serving
}

// arguments returns those that the first program of that name was started with. sshd
// writes its command line anew, "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100
// startups", with blanks between the arguments.
func arguments(commands []string, name string) []string {
	for _, c := range commands {
		c = strings.TrimPrefix(c, "sshd: ")
		c, _, _ = strings.Cut(c, " [listener]")
		words := strings.Fields(c)
		if len(words) > 0 && (words[0] == name || strings.HasSuffix(words[0], "/"+name)) {
			return words[1:]
		}
	}
	return nil
}

// The options that take a value, of sshd(8) and of dropbear(8).
const (
	sshdTakes     = "bcCEfghkopu"
	dropbearTakes = "bcDGIKlpPrTW"
)

// values returns those of one option, as getopt(3) finds them. A value ends where the
// next option begins, since blanks in it look like those between arguments, and neither
// program takes other words.
func values(args []string, takes string, option rune) []string {
	var found []string
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		i := strings.IndexAny(word, takes)
		if word[0] != '-' || i < 0 {
			continue
		}
		value := strings.Fields(word[i+1:])
		for len(args) > 0 && args[0][0] != '-' {
			value, args = append(value, args[0]), args[1:]
		}
		if rune(word[i]) == option {
			found = append(found, strings.Join(value, " "))
		}
	}
	return found
}
