package cmd_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"pi-key-tools/pkg/sshtest"
)

// screen is what is left to see of all that was written to a terminal, as far as
// carriage return, newline and the erasing of the rest of a line go.
func screen(written string) (lines []string) {
	var line []rune
	column := 0
	for written != "" {
		if rest, erased := strings.CutPrefix(written, "\x1b[K"); erased {
			line, written = line[:min(column, len(line))], rest
			continue
		}
		r, n := utf8.DecodeRuneInString(written)
		written = written[n:]
		switch r {
		case '\r':
			column = 0
		case '\n':
			lines, line, column = append(lines, string(line)), nil, 0
		default:
			line = append(line[:min(column, len(line))], append([]rune{r}, line[min(column+1, len(line)):]...)...)
			column++
		}
	}
	return append(lines, string(line))
}

// A progress line is drawn on a terminal, and never between or over what else is
// written there.
func TestProgress(t *testing.T) {
	const latency = 100 * time.Millisecond
	var known, list strings.Builder
	var first *sshtest.Pi
	list.WriteString("pi@127.0.0.1:1\n")
	for range 3 {
		pi := sshtest.StartPi(t, sshtest.PiConfig{Latency: latency})
		known.WriteString(pi.KnownHosts())
		list.WriteString("pi@" + pi.Addr + "\n")
		first = pi
	}
	me := newTraveller(t, first.Endpoint)
	me.file(".ssh/known_hosts", known.String())
	me.run(0, "", "pikeygen")
	hosts := me.file("hosts", list.String())

	bar := regexp.MustCompile(`\rpikeycheck: [0-3] of 4 done, [1-3] failed \[[=>-]+\], [0-9.]+/s, [0-9]+s left, waiting for pi@127\.0\.0\.1:\d+`)
	record := regexp.MustCompile(`^pi@127\.0\.0\.1:\d+(\t| +)fail(\t| +)(key-refused|connection-refused)`)
	message := regexp.MustCompile(`^(pikeycheck: (pi@127\.0\.0\.1:\d+: (key-refused|connection-refused): |hint: |4 of 4 done, 4 failed in )|$)`)
	for _, tt := range []struct {
		name string
		env  []string
		args []string
		both bool // standard output is the terminal too
		pipe bool // the list is one
		want *regexp.Regexp
	}{
		{name: "records go elsewhere", want: bar},
		{name: "records go there", both: true, want: bar},
		{name: "a pipe", pipe: true, want: regexp.MustCompile(`\rpikeycheck: [1-3] done, [1-3] failed, [0-9.]+/s, waiting for pi@`)},
		{name: "-q", args: []string{"-q"}},
		{name: "a terminal that goes back over no line", env: []string{"TERM=dumb"}},
		{name: "of no kind", env: []string{"TERM="}, both: true},
		{name: "without colours", env: []string{"NO_COLOR=1"}, want: bar},
		{name: "a narrow one", env: []string{"COLUMNS=30"}, want: regexp.MustCompile(`\rpikeycheck: [1-3] of 4 done`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			terminal := sshtest.OpenTerminal(t, 100)
			cmd := exec.Command(filepath.Join(binaries(t), "pikeycheck"), append(tt.args, "-j1", "--hosts", hosts)...)
			cmd.Env = append(append(sshtest.Env(me.home), "TERM=xterm"), tt.env...)
			cmd.Stderr = terminal.Slave
			var out bytes.Buffer
			cmd.Stdout = &out
			if tt.both {
				cmd.Stdout = terminal.Slave
			}
			if tt.pipe {
				cmd.Args = append(slices.Clip(cmd.Args[:len(cmd.Args)-1]), "-")
				in, err := cmd.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					in.Write([]byte(list.String()))
					time.Sleep(10 * latency)
					in.Close()
				}()
			}
			// A session of its own, whose terminal this is.
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 2}
			if err := cmd.Run(); cmd.ProcessState.ExitCode() != 1 {
				t.Fatalf("%v: %s", err, terminal.Seen())
			}
			terminal.Slave.WriteString("\n") // the end of it all
			lines := screen(terminal.Seen())
			for i := 0; i < 100 && (len(lines) < 2 || strings.Join(lines[len(lines)-2:], "") != ""); i++ {
				time.Sleep(10 * time.Millisecond)
				lines = screen(terminal.Seen())
			}
			seen := terminal.Seen()
			records, messages := strings.Count(out.String(), "\n"), 0
			for _, line := range lines {
				if strings.HasPrefix(line, "pikeycheck: pi@") {
					messages++
				}
				switch {
				case record.MatchString(line) && tt.both:
					records++
				case !message.MatchString(line):
					t.Errorf("the screen shows %q", line)
				}
			}
			if records != 4 || strings.ContainsAny(out.String(), "\r\x1b") {
				t.Errorf("%d records, and %q", records, out.String())
			}
			if told := messages > 0; told == tt.both {
				t.Errorf("%d messages beside the records: %q", messages, lines)
			}
			switch {
			case tt.want != nil && !tt.want.MatchString(seen):
				t.Errorf("no %s in %q", tt.want, seen)
			case tt.want == nil && (strings.Contains(seen, "done") || strings.Contains(strings.ReplaceAll(seen, "\r\n", ""), "\r") || strings.Contains(seen, "\x1b")):
				t.Errorf("it goes back over its lines: %q", seen)
			}
			if i := slices.IndexFunc(strings.Split(seen, "\r"), func(s string) bool { return strings.Contains(s, " of 4 done ") && len(s) > 100 }); i >= 0 {
				t.Errorf("a line is longer than the terminal is wide: %q", seen)
			}
			if tt.name == "a narrow one" && slices.ContainsFunc(strings.Split(seen, "\r"), func(s string) bool {
				line, drawn := strings.CutSuffix(s, "\x1b[K")
				return drawn && utf8.RuneCountInString(line) > 29
			}) {
				t.Errorf("a line is longer than COLUMNS: %q", seen)
			}
		})
	}
}

// While somebody is asked, the line is away, and what is to be said of others
// waits.
func TestProgressLeavesPrompts(t *testing.T) {
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer door.Close()
	slammed := make(chan struct{})
	go func() {
		conn, err := door.Accept()
		if err == nil {
			<-slammed
			conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			conn.Close()
		}
	}()
	var pis []*sshtest.Pi
	var known strings.Builder
	for range 2 {
		pi := sshtest.StartPi(t, sshtest.PiConfig{Latency: 50 * time.Millisecond})
		known.WriteString(pi.KnownHosts())
		pis = append(pis, pi)
	}
	me := newTraveller(t, pis[0].Endpoint)
	me.file(".ssh/known_hosts", known.String())
	me.run(0, "", "pikeygen")
	terminal := sshtest.OpenTerminal(t, 100)
	cmd := exec.Command(filepath.Join(binaries(t), "pikeycopy"), "-j2", "pi@"+door.Addr().String(), "pi@"+pis[0].Addr, "pi@"+pis[1].Addr)
	cmd.Env = append(sshtest.Env(me.home), "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal.Slave, terminal.Slave, terminal.Slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer late.Stop()
	for i, pi := range pis {
		prompt := "\rpi@" + pi.Addr + "'s password: "
		terminal.Sees(prompt, 1)
		if i == 0 {
			close(slammed)
		}
		time.Sleep(600 * time.Millisecond) // time to draw in, and to say that it was slammed
		if _, after, _ := strings.Cut(terminal.Seen(), prompt); after != "" {
			t.Errorf("after prompt %d: %q", i, after)
		}
		terminal.Types(pi.Password + "\n")
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v: %q", err, terminal.Seen())
	}
	terminal.Sees("3 of 3 done, 1 failed in ", 1)
	terminal.Sees("\npi@"+door.Addr().String()+"\tfail\tnot-ssh\t", 1)
	terminal.Sees("\npikeycopy: hint: what listens on port ", 1)
	for _, pi := range pis {
		terminal.Sees("\npi@"+pi.Addr+"\tok\tlogin\t", 1)
		if _, err := os.Stat(filepath.Join(pi.Home, ".ssh", "authorized_keys")); err != nil {
			t.Error(err)
		}
	}
	if seen := terminal.Seen(); !strings.Contains(seen, "\rpikeycopy: 2 of 3 done, 1 failed") {
		t.Errorf("it does not come back: %q", seen)
	}
}
