package targets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/record"
)

// A progress tells people how far a run of several targets is: on a terminal by
// a bar in its status line, elsewhere by a line for each target. nil tells
// nothing.
type progress struct {
	env   *cli.Env
	began time.Time
	told  int // targets whose records were emitted

	mu     sync.Mutex
	begun  int
	under  map[int]string // those under way, by when they were begun
	done   int
	failed int
	total  int // 0 if that is not known

	bars *mpb.Progress // nil where there is no status line
	bar  *mpb.Bar
}

// newProgress begins to tell of a run. total is 0 for a list of which nobody
// knows how long it is.
func newProgress(env *cli.Env, total int) *progress {
	p := &progress{env: env, began: time.Now(), under: map[int]string{}, total: total}
	if env.StatusWidth() == 0 {
		return p
	}
	rate, left := decor.AverageSpeed(0, "%.1f/s"), decor.AverageETA(decor.ET_STYLE_GO)
	counts := func(decor.Statistics) string { return env.Name + ": " + p.count() }
	words := func(s decor.Statistics) string {
		text := ""
		if s.Current > 0 {
			speed, _ := rate.Decor(s)
			text += ", " + speed
		}
		if s.Current > 0 && s.Total > 0 {
			time, _ := left.Decor(s)
			text += ", " + time + " left"
		}
		if longest := p.longest(); longest != "" {
			text += ", waiting for " + record.Escape(longest)
		}
		return text
	}
	bar := mpb.BarStyle().Build()
	filler := mpb.BarFillerFunc(func(w io.Writer, s decor.Statistics) error {
		if s.Total == 0 || s.AvailableWidth < 8 {
			return nil
		}
		_, err := io.WriteString(w, " ")
		s.AvailableWidth--
		return errors.Join(err, bar.Fill(w, s))
	})
	p.bars = mpb.New(mpb.WithConsoleWriter(&statusWriter{env: env}), mpb.WithWidth(24))
	// There is no error but that of bars which have ended.
	p.bar, _ = p.bars.Add(0, filler, mpb.BarFillerTrim(), mpb.PrependDecorators(decor.Any(counts)), mpb.AppendDecorators(decor.Any(words)))
	p.bar.SetTotal(int64(total), false)
	return p
}

// count is how many are done, and how many of these failed.
func (p *progress) count() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := fmt.Sprintf("%d done", p.done)
	if p.total > 0 {
		text = fmt.Sprintf("%d of %d done", p.done, p.total)
	}
	if p.failed > 0 {
		text += fmt.Sprintf(", %d failed", p.failed)
	}
	return text
}

// longest is the target that has been under way longest.
func (p *progress) longest() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := -1
	for n := range p.under {
		if first < 0 || n < first {
			first = n
		}
	}
	return p.under[first]
}

// begin tells that a target is under way, until end is called with what came of
// it.
func (p *progress) begin(target string) (end func([]record.Record)) {
	if p == nil {
		return func([]record.Record) {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.begun
	p.begun++
	p.under[n] = target
	return func(records []record.Record) {
		p.mu.Lock()
		delete(p.under, n)
		if slices.ContainsFunc(records, unbegun) {
			p.mu.Unlock()
			return
		}
		p.done++
		if failed(records) {
			p.failed++
		}
		p.mu.Unlock()
		if p.bar != nil {
			p.bar.Increment()
		}
	}
}

func failed(records []record.Record) bool {
	return slices.ContainsFunc(records, func(r record.Record) bool { return r.Verdict.Bad() })
}

// tell says of a target that its records are there. What failed has its message
// already, and on a terminal the records themselves are seen, or the bar.
func (p *progress) tell(target string, records []record.Record) {
	if p == nil {
		return
	}
	p.told++
	if p.bar != nil || len(records) == 0 || failed(records) || p.env.DataOnTerminal() {
		return
	}
	p.mu.Lock()
	of := fmt.Sprint(p.told)
	if p.total > 0 {
		of += fmt.Sprintf(" of %d", p.total)
	}
	p.mu.Unlock()
	last := records[len(records)-1]
	p.env.Notef(target, "%s %s (%s)", last.Verdict, last.Cause, of)
}

// of changes how many there are.
func (p *progress) of(change func(total int) int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.total = change(p.total)
	total := p.total
	p.mu.Unlock()
	if p.bar != nil {
		p.bar.SetTotal(int64(total), false)
	}
}

// counted passes targets on, and tells their number when it is known at last.
func (p *progress) counted(lines iter.Seq[destination.Line]) iter.Seq[destination.Line] {
	return func(yield func(destination.Line) bool) {
		n := 0
		for line := range lines {
			n++
			if !yield(line) {
				return
			}
		}
		p.of(func(int) int { return n })
	}
}

// end takes the bar away, and says what it has come to.
func (p *progress) end() {
	if p == nil || p.bar == nil {
		return
	}
	p.bars.Shutdown()
	p.env.Status("")
	p.env.Notef("", "%s in %v", p.count(), time.Since(p.began).Round(100*time.Millisecond))
}

// A statusWriter has a bar drawn as the status line of the terminal.
type statusWriter struct {
	bytes.Buffer
	env *cli.Env
}

func (*statusWriter) IsTerminal() bool { return true }

func (w *statusWriter) GetTermSize() (width, height int, err error) {
	return w.env.StatusWidth(), 1, nil
}

// Flush draws what was written, which is one line.
func (w *statusWriter) Flush(int) error {
	w.env.Status(strings.TrimRight(w.String(), " \n"))
	w.Reset()
	return nil
}

// progress tells of a run of several targets; nil, which tells nothing, for one.
func (o *Options) progress(env *cli.Env, operands int, list io.Reader) *progress {
	if env.Quiet || o.Hosts == "" && operands <= 1 {
		return nil
	}
	total := 0
	if n := targetsIn(list); n > 0 || list == nil {
		total = n + operands
	}
	if total == 1 {
		return nil
	}
	return newProgress(env, total)
}
