package confline

import "testing"

func TestSeconds(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "600": 600, "10m": 600, "1h30m": 5400, "1w2d": 777600, "90D": 7776000, "1h 5": 3605, "+5": 5,
		"": -1, "none": -1, "-1": -1, "1y": -1, "m": -1, "1m-5": -1, "99999999999": -1, "4000w": -1, "1.5h": -1, "5m ": -1,
	} {
		got, err := Seconds(s)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d (%v), want %d", s, got, err, want)
		}
	}
}
