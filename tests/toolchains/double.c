/* out[i] = 2 * data[i] */
void run(const float *data, float *out, int n) {
  for (int i = 0; i < n; i++) out[i] = 2 * data[i];
}
