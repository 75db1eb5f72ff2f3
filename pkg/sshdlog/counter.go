package sshdlog

// A Counter merges the events that are about the same thing: those with the
// same cause, path, line, user and key. Its memory is bounded, whatever names
// an attacker makes up: of each cause it keeps the first PerCause.
type Counter struct {
	counts  []Count
	index   map[countKey]int
	kept    map[string]int // by cause
	leftOut map[string]int
}

// A Count is an event as it was met first. Its Times are those of all.
type Count struct {
	Event
	Last string // the time of the last one, as it stands in the log
}

// PerCause is how many different events of one cause a Counter keeps.
const PerCause = 200

type countKey struct {
	name, cause, path, user, key string
	line                         int
}

// Add counts an event.
func (c *Counter) Add(e Event) {
	if c.index == nil {
		c.index, c.kept, c.leftOut = make(map[countKey]int), make(map[string]int), make(map[string]int)
	}
	k := countKey{cause: e.Cause, path: e.Path, user: e.User, key: e.Key, line: e.Line}
	if e.Cause == "" {
		k.name = e.Name
	}
	group := k.cause + k.name
	if i, ok := c.index[k]; ok {
		c.counts[i].Times += e.Times
		c.counts[i].Last = e.Time
		return
	}
	if c.kept[group] == PerCause {
		c.leftOut[e.Cause] += e.Times
		return
	}
	c.kept[group]++
	c.index[k] = len(c.counts)
	c.counts = append(c.counts, Count{e, e.Time})
}

// All returns what was counted, in the order in which it was met first.
func (c *Counter) All() []Count { return c.counts }

// LeftOut returns how many events of each cause were not kept, because there
// were too many that differ; "" is the cause of those that have none.
func (c *Counter) LeftOut() map[string]int { return c.leftOut }
