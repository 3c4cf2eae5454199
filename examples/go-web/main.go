// A page with the water levels of a few harbours, from a very simple tide.
package main

import (
	"encoding/json"
	"html/template"
	"log"
	"net/http"
	"os"
	"time"
)

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<title>Tides</title>
<h1>Tides at {{.Now.Format "15:04"}}</h1>
<table>
{{range .Levels}}<tr><th>{{.Harbour}}</th><td>{{printf "%.1f" .Metres}} m</td><td>{{.Trend}}</td></tr>
{{end}}</table>
</html>
`))

func main() {
	file := os.Getenv("HARBOURS")
	if file == "" {
		file = "config/harbours.json"
	}
	text, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	var harbours []Harbour
	if err := json.Unmarshal(text, &harbours); err != nil {
		log.Fatalf("%s: %v", file, err)
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	log.Printf("listening on port %s, %d harbours", port, len(harbours))
	log.Fatal(http.ListenAndServe(":"+port, handler(harbours, time.Now)))
}

func handler(harbours []Harbour, clock func() time.Time) http.Handler {
	levels := func() []Level {
		out := make([]Level, 0, len(harbours))
		for _, h := range harbours {
			out = append(out, h.At(clock()))
		}
		return out
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		page.Execute(w, map[string]interface{}{"Now": clock().UTC(), "Levels": levels()})
	})
	mux.HandleFunc("/api/levels", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(levels())
	})
	return mux
}
