package diagnose

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshdlog"
)

// journalSource shows what the SSH servers of a machine have logged.
//
//go:embed journal.sh
var journalSource string

// logFiles are those of syslogd that SSH servers log to, the oldest first. The
// first two are Debian's, the last is Red Hat's.
var logFiles = []string{"/var/log/auth.log.1", "/var/log/auth.log", "/var/log/secure"}

// How much is read of a far log, from its end. A runner keeps 1 MiB, and a
// record of the journal takes some 300 bytes.
const (
	journalLines = 3000
	journalBytes = 900_000
)

// A Log is what the SSH servers of a machine have logged, for an
// sshdlog.Scanner to read.
type Log struct {
	io.Reader
	From   []string // where it is: "the journal", or files
	Closed []string // further logs, which this account may not read
	Cut    bool     // it is only the end of the log

	now time.Time // by the clock there, and in its zone
	end func() error
}

// Close ends the reading. Its error means that a log read to its end is not
// whole, as its reader says.
func (l *Log) Close() error { return l.end() }

// ErrNoLog means that a machine has no known log of its SSH server.
var ErrNoLog = errors.New("there is no log: neither a journal nor " + strings.Join(logFiles, ", "))

// A LogClosedError means that there is a log, but this account may read none of
// it.
type LogClosedError struct{ Closed []string }

func (e *LogClosedError) Error() string { return "may not read " + strings.Join(e.Closed, ", ") }

// Hint says who may read it: systemd-journald.service(8) ACCESS CONTROL.
func (e *LogClosedError) Hint() string {
	return "run it with sudo, or add the account to the group that may: sudo gpasswd -a USER adm (or systemd-journal); this takes effect at the next login"
}

// HereLog opens the log of this machine. The caller closes it.
func HereLog(ctx context.Context) (*Log, error) {
	mark, script := journalScript("", "", "")
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", script)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoLog, err) // such as Windows
	}
	r := bufio.NewReader(out)
	l := &Log{Reader: r, end: func() error {
		// What is not read is of no interest.
		out.Close()
		err := cmd.Wait()
		var exit *exec.ExitError
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		} else if errors.As(err, &exit) {
			err = tornLog(exit.ExitCode())
		}
		return err
	}}
	if err := l.readHead(mark, r); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// FarLog reads the end of the log of the machine that run reaches: what is no
// older than back, or everything if back is 0. It only reads. If no shell
// answers, the error is hostfs.ErrNoShell.
func FarLog(ctx context.Context, run hostfs.Runner, back time.Duration) (*Log, error) {
	since := ""
	if back > 0 {
		since = strconv.Itoa(int(back/time.Second) + 1)
	}
	mark, script := journalScript(since, strconv.Itoa(journalLines), strconv.Itoa(journalBytes))
	stdout, stderr, status, err := run(ctx, sh.Command(script))
	if err != nil {
		return nil, fmt.Errorf("reading the log there: %w", err)
	}
	r := bufio.NewReader(bytes.NewReader(stdout))
	l := &Log{end: func() error { return nil }}
	if err := l.readHead(mark, r); errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("reading the log there: %w", hostfs.NoShell(status, string(stderr)))
	} else if err != nil {
		return nil, err
	}
	text, _ := io.ReadAll(r) // of memory
	end := bytes.LastIndex(text, []byte("\n"+mark+" end\n"))
	if end < 0 {
		return nil, fmt.Errorf("reading the log there: %w", io.ErrUnexpectedEOF)
	}
	text = text[:end]
	if status != 0 {
		l.end = func() error { return tornLog(status) }
	}
	if len(text) >= journalBytes { // the first line is torn
		_, text, _ = bytes.Cut(text, []byte{'\n'})
		l.Cut = true
	}
	l.Cut = l.Cut || since == "" && bytes.Count(text, []byte{'\n'}) >= journalLines && slices.Equal(l.From, []string{theJournal})
	l.Reader = bytes.NewReader(text)
	return l, nil
}

// tornLog is what the end of a log says that may have more than was read.
func tornLog(status int) error {
	return fmt.Errorf("the command that shows the log ended with status %d: there may be more", status)
}

const theJournal = "the journal"

// journalScript returns the script, and the mark of what it says itself.
func journalScript(since, lines, most string) (mark, script string) {
	mark = "log-" + rand.Text()
	variables := sh.Variables("mark", mark, "since", since, "lines", lines, "most", most, "files", strings.Join(logFiles, "\n"))
	return mark, variables + sh.Compact(journalSource)
}

// readHead reads what the script says of the log, up to its first line. The
// error is io.ErrUnexpectedEOF where there is no such answer.
func (l *Log) readHead(mark string, r *bufio.Reader) error {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		said, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), mark+" ")
		if !ok {
			continue // of a start-up file
		}
		switch word, rest, _ := strings.Cut(said, " "); word {
		case "now":
			if err := l.readClock(rest); err != nil {
				return err
			}
		case "from":
			l.From = append(l.From, rest)
		case "closed":
			l.Closed = append(l.Closed, rest)
		case "lines":
			return nil
		case "none":
			if len(l.Closed) > 0 {
				return &LogClosedError{l.Closed}
			}
			return ErrNoLog
		}
	}
}

// readClock reads what date(1) says: seconds, and the zone.
func (l *Log) readClock(s string) error {
	seconds, zone, _ := strings.Cut(s, " ")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("asking for the time there: date(1) says \"%s\"", record.Escape(cut(s)))
	}
	l.now = time.Unix(n, 0).UTC()
	if z, err := time.Parse("-0700", zone); err == nil {
		_, offset := z.Zone()
		l.now = l.now.In(time.FixedZone("", offset))
	}
	return nil
}

// journal returns what the SSH servers of the machine at the other end of run
// have logged since a moment, by our clock, of severity sshdlog.Hint and above:
// from its journal, or from the files of its syslogd. It is exact to a second,
// the one more rather than less, whatever the clock there says. It only reads,
// and no more than the last 900,000 bytes. The error is ErrNoLog, a
// LogClosedError or hostfs.ErrNoShell where it is that.
func journal(ctx context.Context, run hostfs.Runner, since time.Time) ([]sshdlog.Event, error) {
	back := max(time.Since(since), time.Second)
	l, err := FarLog(ctx, run, back)
	if err != nil {
		return nil, err
	}
	oldest := l.now.Add(-back - time.Second).Truncate(time.Second)
	var events []sshdlog.Event
	s := sshdlog.NewScanner(l, sshdlog.Hint)
	for s.Scan() {
		e := s.Event()
		if at, ok := logTime(e.Time, l.now); ok && !at.Before(oldest) {
			events = append(events, e)
		}
	}
	return events, s.Err()
}

// logTime returns the moment of an Event's Time, as the journal, rsyslog in the
// form of RFC 3339, and syslogd write it. The last has neither year nor zone:
// they are those that make it the latest one before now, in now's zone.
func logTime(s string, now time.Time) (time.Time, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.UnixMicro(n), true
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, true
	}
	// A leap day is none in the year 0.
	for year := now.Year() + 1; year > now.Year()-9; year-- {
		t, err := time.ParseInLocation("2006 Jan _2 15:04:05", strconv.Itoa(year)+" "+s, now.Location())
		if err == nil && !t.After(now.Add(24*time.Hour)) {
			return t, true
		}
	}
	return time.Time{}, false
}
