package main

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestHighAndLowWater(t *testing.T) {
	h := Harbour{"Whitby", 0, 4}
	start := time.Unix(0, 0)
	if got := h.At(start).Metres; got != 4 {
		t.Errorf("high water is %v m, not 4", got)
	}
	if got := h.At(start.Add(period / 2)).Metres; got > 0.01 {
		t.Errorf("low water is %v m, not 0", got)
	}
	if got := h.At(start.Add(time.Hour)).Trend; got != "falling" {
		t.Errorf("an hour after high water it is %s", got)
	}
}

func TestPageNamesTheHarbours(t *testing.T) {
	clock := func() time.Time { return time.Unix(0, 0) }
	answer := httptest.NewRecorder()
	handler([]Harbour{{"Leith", 0, 4}}, clock).ServeHTTP(answer, httptest.NewRequest("GET", "/", nil))
	if !strings.Contains(answer.Body.String(), "<th>Leith</th><td>4.0 m</td>") {
		t.Errorf("the page is %q", answer.Body.String())
	}
}
